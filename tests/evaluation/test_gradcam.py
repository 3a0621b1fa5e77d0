import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.evaluation.gradcam import (
    attention_maps,
    check_saliency,
    deletion_drop,
    grad_cam,
    layer_cam,
    saliency_maps,
)
from fer.evaluation.sections.gradcam import gradcam_section
from fer.models.backbone import Backbone
from fer.models.classifier import EmotionClassifier
from fer.models.factory import build_model

MODELS = {
    "fast_cnn": {"name": "fast_cnn", "image_size": 48, "kwargs": {"widths": [8, 16, 32, 32]}},
    "test_resnet": {"name": "test_resnet", "image_size": 48},
    "test_vit": {"name": "test_vit", "image_size": 96},
}


class Identity(Backbone):
    """Backbone without weights: means of 4 x 4 pixels for each channel of the image."""

    num_features = 3

    def forward_features(self, x):
        return F.avg_pool2d(x, 4)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_a_linear_head_on_the_mean_of_a_map_has_a_cam_in_closed_form():
    """Class activation mapping (Zhou et al. 2016): the head's weights applied to each cell."""
    model = EmotionClassifier(Identity(), 7, mean=[0.0], std=[1.0]).eval()
    images, classes = torch.rand(4, 3, 32, 32), torch.tensor([0, 3, 6, 3])
    cells = images.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    cam = torch.einsum("bc,bchw->bhw", model.head.weight[classes], cells).clamp_min(0)
    expected = F.interpolate(cam[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    maps = saliency_maps(model, images, classes)
    torch.testing.assert_close(maps, (expected / expected.amax((1, 2), keepdim=True)).nan_to_num())
    assert maps.max() > 0


def test_gradients_match_finite_differences():
    model = build_model({**MODELS["test_resnet"], "stem": "small"}, 7, 1).eval().double()
    image = torch.rand(1, 1, 48, 48).double()
    with torch.no_grad():
        features = model.forward_features(image)
        assert features.shape[-1] >= 6
        weights = []
        # The mean gradient of a channel: all its cells are changed together.
        for channel in range(features.shape[1]):
            step = torch.zeros_like(features)
            step[:, channel] = 1e-5 / features[0, 0].numel()
            change = model.forward_head(features + step) - model.forward_head(features - step)
            weights.append(change[0, 2] / 2e-5)
        cells = sum(w * plane for w, plane in zip(weights, features[0], strict=True)).clamp_min(0)
        expected = F.interpolate(cells[None, None], (48, 48), mode="bilinear", align_corners=False)[0, 0]
    maps = saliency_maps(model, image, torch.tensor([2]))[0]
    torch.testing.assert_close(maps * expected.max(), expected, rtol=1e-4, atol=1e-7)


class Constant(nn.Module):
    """Replaces a layer and returns a fixed tensor."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


def test_vit_maps_use_the_tokens_before_the_last_attention():
    model = build_model(MODELS["test_vit"], 7, 1).eval()
    image, last = torch.rand(1, 1, 96, 96), model.backbone.model.blocks[-1]
    maps = saliency_maps(model, image, torch.tensor([3]))[0]
    seen = []
    last.norm1.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    model(image)
    tokens = seen[0].requires_grad_()
    last.norm1 = Constant(tokens)
    (gradient,) = torch.autograd.grad(model(image)[0, 3], tokens)
    values = (gradient.clamp_min(0) * tokens).sum(-1).detach()[0]
    cells = torch.zeros(6, 6)
    for row, column in np.ndindex(6, 6):
        cells[row, column] = max(values[model.backbone.num_prefix_tokens + 6 * row + column], 0)
    expected = F.interpolate(cells[None, None], (96, 96), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(maps * expected.max(), expected, rtol=1e-4, atol=1e-6)


def test_cams_match_their_formulas():
    features, gradients = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    f, g = features.numpy(), gradients.numpy()
    for b in range(2):
        weighted = sum(g[b, c].mean() * f[b, c] for c in range(3))
        np.testing.assert_allclose(grad_cam(features, gradients)[b], np.maximum(weighted, 0), rtol=1e-5)
        weighted = sum(np.maximum(g[b, c], 0) * f[b, c] for c in range(3))
        np.testing.assert_allclose(layer_cam(features, gradients)[b], np.maximum(weighted, 0), rtol=1e-5)


def striped_images(n: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return noise with horizontal or vertical stripes, the evidence, in one quarter of the image."""
    images, classes, quarters = (
        0.5 + 0.1 * torch.randn(n, 1, size, size),
        torch.arange(n) % 2,
        torch.arange(n) // 2 % 4,
    )
    half, stripes = size // 2, (torch.arange(size // 2) // (size // 16) % 2).float()
    for image, number, quarter in zip(images, classes, quarters, strict=True):
        top, left = half * int(quarter // 2), half * int(quarter % 2)
        pattern = stripes[:, None].expand(half, half) if number else stripes.expand(half, half)
        image[0, top : top + half, left : left + half] = pattern
    return images.clamp(0, 1), classes, quarters


@pytest.mark.parametrize(("name", "batch"), [("fast_cnn", 8), ("test_resnet", 8), ("test_vit", 64)])
def test_saliency_is_highest_at_the_evidence(name, batch):
    size = MODELS[name]["image_size"]
    model = build_model(MODELS[name], 2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(30):
        images, classes, _ = striped_images(batch, size)
        loss = F.cross_entropy(model(images), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.1:
            break
    model.eval()
    images, classes, quarters = striped_images(32, size)
    assert (model(images).argmax(1) == classes).float().mean() > 0.9
    maps = saliency_maps(model, images, classes)
    assert maps.amax((1, 2)).tolist() == pytest.approx([1.0] * 32)
    by_quarter = F.avg_pool2d(maps[:, None], size // 2).flatten(1)
    assert (by_quarter.argmax(1) == quarters).float().mean() > 0.5  # chance is 0.25


def test_saliency_has_no_side_effects_and_works_with_frozen_weights():
    model = build_model(MODELS["fast_cnn"], 7, 1).eval()
    images, classes = torch.rand(3, 1, 48, 48), torch.tensor([0, 1, 2])
    expected = saliency_maps(model, images, classes)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        maps = saliency_maps(model, images, classes)
    torch.testing.assert_close(maps, expected)
    assert not maps.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_coarse_final_map_is_replaced_by_a_finer_one():
    model = build_model(MODELS["fast_cnn"], 7, 1).eval()
    images = torch.rand(1, 1, 48, 48)
    assert model.forward_features(images).shape[-1] == 3
    stage = model.backbone.stages[:2](model.backbone.standardise(model.preprocess(images))).detach()
    assert stage.shape[-1] == 6
    stage.requires_grad_()
    logit = model.forward_head(model.attention(model.backbone.stages[2:](stage)))[0, 4]
    (gradient,) = torch.autograd.grad(logit, stage)
    expected = (gradient.clamp_min(0) * stage).sum(1).detach()
    expected = F.interpolate(expected[:, None], (48, 48), mode="bilinear", align_corners=False)[0, 0]
    maps = saliency_maps(model, images, torch.tensor([4]))[0]
    torch.testing.assert_close(maps, expected / expected.max())


def test_saliency_is_zero_without_evidence():
    model = EmotionClassifier(Identity(), 7, mean=[0.0], std=[1.0]).eval()
    nn.init.constant_(model.head.weight, -1.0)
    assert saliency_maps(model, torch.rand(2, 3, 32, 32), torch.tensor([0, 1])).abs().max() == 0


def test_deletion_drop_matches_a_loop():
    model = build_model(MODELS["fast_cnn"], 7, 1).eval()
    images, classes, maps = torch.rand(2, 1, 48, 48), torch.tensor([1, 5]), torch.rand(2, 48, 48)
    drops = deletion_drop(model, images, classes, maps)
    for image, number, saliency, drop in zip(images, classes, maps, drops, strict=True):
        painted = image.clone()
        for pixel in saliency.flatten().argsort(descending=True)[: round(0.1 * 48 * 48)].tolist():
            painted[0, pixel // 48, pixel % 48] = image.mean()
        before, after = (model(x[None]).softmax(1)[0, number] for x in (image, painted))
        torch.testing.assert_close(drop, (before - after).detach())


def test_attention_maps_need_a_model_with_a_mask():
    images = torch.rand(2, 1, 48, 48)
    spatial = build_model({**MODELS["test_resnet"]}, 7, 1, attention={"name": "spatial"}).eval()
    masks = attention_maps(spatial, images)
    mask = spatial.attention_map(images, 48)
    torch.testing.assert_close(masks, mask / mask.flatten(1).max(1).values[:, None, None])
    assert attention_maps(build_model(MODELS["test_resnet"], 7, 1).eval(), images) is None


@pytest.mark.parametrize("attention", ["none", "spatial"])
def test_section(attention):
    model = build_model({**MODELS["test_resnet"]}, 7, 1, attention={"name": attention}).eval()
    images = np.random.default_rng(0).integers(0, 256, (20, 40, 40, 1), np.uint8)
    target = np.arange(20) % 7
    probs = np.random.default_rng(1).dirichlet(np.ones(7), 20).astype(np.float32)
    predictions = Predictions(FER7, np.arange(20), target, np.log(probs), probs, None, np.array(["x"] * 20))
    report_section = gradcam_section(predictions, images, model, 48)
    assert [plot.name for plot in report_section.plots] == ["gradcam", "attention"][
        : 1 + (attention != "none")
    ]
    drops = report_section.numbers["fall_when_hidden"]
    assert drops["own"].n == 20
    assert drops["own"].low < drops["own"].value < drops["own"].high
    assert ("give no more" in report_section.paragraphs[1]) == (drops["beyond"].low <= 0)


def test_check_uses_each_image_s_own_map():
    model = build_model(MODELS["fast_cnn"], 7, 1).eval()
    images, classes = torch.rand(5, 1, 48, 48), torch.tensor([0, 1, 2, 3, 4])
    drops = check_saliency(model, images, classes)
    own = deletion_drop(model, images, classes, saliency_maps(model, images, classes))
    assert drops["own"].value == pytest.approx(own.mean().item())
    larger = max(drops["centre"].value, drops["other"].value)
    assert drops["beyond"].value == pytest.approx(drops["own"].value - larger, abs=1e-6)
