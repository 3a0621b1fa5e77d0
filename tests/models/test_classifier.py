"""Preprocessing and the classifier."""

import cv2
import numpy as np
import pytest
import torch

from fer.core.errors import FerError
from fer.models.classifier import EmotionClassifier, Preprocess
from fer.models.cnn import BaselineCNN, FastCNN
from fer.models.factory import build_model
from fer.training.optim import build_optimizer


@pytest.mark.parametrize("attention", ["none", "spatial", "cbam", "squeeze_excitation", "multi_head"])
@pytest.mark.parametrize("model", ["baseline_cnn", {"name": "fast_cnn", "kwargs": {"margin": 0.083}}])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::FutureWarning")
def test_models_can_be_traced(model, attention):
    settings = {"name": model} if isinstance(model, str) else model
    network = build_model({**settings, "image_size": 48}, 7, 1, attention).eval()
    traced = torch.jit.trace(network, torch.rand(2, 1, 48, 48))
    images = torch.rand(5, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(traced(images), network(images))


def test_color_becomes_gray_as_in_opencv():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    gray = Preprocess(1, mean=[0.0], std=[1.0])(images)[0, 0].numpy() * 255
    np.testing.assert_allclose(gray, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), atol=0.6)


def test_gray_becomes_three_equal_channels():
    images = torch.rand(2, 1, 4, 4)
    color = Preprocess(3, mean=[0.0], std=[1.0])(images)
    assert torch.equal(color, images.repeat(1, 3, 1, 1))


def test_normalizes_per_channel_and_by_the_mean_for_gray():
    images, mean, std = torch.rand(2, 3, 4, 4), [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    expected = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(Preprocess(3, mean, std)(images), expected)
    gray = images[:, :1]
    torch.testing.assert_close(Preprocess(1, mean, std)(gray), (gray - 0.5) / 0.2)


def test_statistics_are_in_the_checkpoint():
    model = EmotionClassifier(BaselineCNN(3), 7, mean=[0.1, 0.2, 0.3], std=[0.5])
    other = EmotionClassifier(BaselineCNN(3), 7)
    other.load_state_dict(model.state_dict())
    assert other.preprocess.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_other_channel_counts_are_refused():
    with pytest.raises(FerError, match="1 or 3"):
        Preprocess(3, mean=[0.5], std=[0.5])(torch.rand(1, 4, 8, 8))


def test_parts_compose_to_the_forward_pass():
    model = EmotionClassifier(BaselineCNN(1), 7, in_channels=1, dropout=0.5).eval()
    images = torch.rand(2, 1, 48, 48)
    features = model.forward_features(images)
    torch.testing.assert_close(model.forward_head(features), model.head(features.mean((2, 3))))
    torch.testing.assert_close(model(images), model.forward_head(features))


def test_exports_with_a_dynamic_batch_size():
    model = EmotionClassifier(BaselineCNN(1), 7, in_channels=1).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.rand(2, 3, 48, 48),), dynamic_shapes=({0: batch},))
    images = torch.rand(5, 3, 48, 48)
    torch.testing.assert_close(program.module()(images), model(images))


# Prefixes of the names of a backbone's layers, from the input to the head.
LAYERS = {
    "fast_cnn": ["backbone.stages.0.", "backbone.stages.1.", "backbone.stages.2.", "backbone.stages.3."],
    "baseline_cnn": [f"backbone.blocks.{i}." for i in range(4)],
    "test_resnet": ["backbone.model.conv1", *(f"backbone.model.layer{i}.0." for i in (1, 2, 3, 4))],
    "test_vit": ["backbone.model.patch_embed", *(f"backbone.model.blocks.{i}." for i in range(6))],
}


@pytest.mark.parametrize("name", LAYERS)
def test_learning_rates_decay_with_the_distance_to_the_head(name):
    model = build_model({"name": name}, 7, 1, attention={"name": "spatial"})
    optimizer = build_optimizer(model, {"name": "adamw", "lr": 0.1, "layer_decay": 0.5})
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rates = {key: rate[id(parameter)] for key, parameter in model.named_parameters()}
    for depth, prefix in enumerate(reversed(LAYERS[name]), start=1):
        layer_rates = [value for key, value in rates.items() if key.startswith(prefix)]
        assert layer_rates == pytest.approx([0.1 * 0.5**depth] * len(layer_rates))
        assert layer_rates
    rest = [value for key, value in rates.items() if not key.startswith("backbone.")]
    assert set(rest) == {0.1}
    assert len(rates) == len(list(model.parameters()))


@pytest.mark.parametrize("size", [48, 64, 96, 112, 224])
@pytest.mark.parametrize("name", ["fast_cnn", "resnet18", "mobilenetv2_100"])
def test_any_image_size_trains(name, size):
    model = build_model({"name": name, "image_size": size}, 7, 1)
    logits = model(torch.rand(2, 1, size, size))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_upsampled_map_is_zero_in_the_margin():
    model = EmotionClassifier(FastCNN(1, (8, 16), (0, 0), margin=0.25), 7, in_channels=1)
    upsampled = model.upsample_map(torch.ones(2, 1, 6, 6), 48)
    assert upsampled.shape == (2, 48, 48)
    assert bool((upsampled[:, 12:36, 12:36] == 1).all())
    assert upsampled.sum() == 2 * 24 * 24


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_has_the_memory_format_of_the_feature_map(memory_format):
    seen = []

    class Probe(FastCNN):
        def forward_features(self, x):
            features = super().forward_features(x)
            features.register_hook(lambda gradient: seen.append((features, gradient)))
            return features

    model = EmotionClassifier(Probe(1, [8, 16], [0, 0]), num_classes=7, in_channels=1)
    model.to(memory_format=memory_format)
    model(torch.rand(4, 1, 48, 48).to(memory_format=memory_format)).square().sum().backward()
    ((features, gradient),) = seen
    assert gradient.stride() == features.stride()
