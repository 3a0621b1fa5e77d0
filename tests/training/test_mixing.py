import csv

import numpy as np
import pytest
import torch

from fer.core.errors import FerError
from fer.training.batches import Mix

IMAGES = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(8) % 3


def build(name, num_classes, seed, **options):
    return Mix({"name": name, **options}, num_classes, seed)


def label_weights(mixed, labels=TARGET):
    """Return the weight of each sample's original label, where the label of its neighbour differs."""
    weights = mixed[torch.arange(8), labels]
    return weights[labels != labels.roll(1)]


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_labels_and_pixels_are_mixed_with_the_same_ratio(name):
    mix = build(name, 3, seed=0)
    # Every second image is white, so the mean of a mixed image is the weight of the white one.
    images = torch.zeros(8, 1, 12, 12)
    images[::2] = 1.0
    for batch in range(5):
        image, target = mix(images, torch.arange(8) % 2, epoch=0, batch=batch)
        torch.testing.assert_close(target.sum(1), torch.ones(8))
        torch.testing.assert_close(image.mean((1, 2, 3)), target[:, 0], rtol=0, atol=1e-5)


def test_mixup_averages_as_in_the_paper():
    image, target = build("mixup", 3, seed=0, alpha=0.5)(IMAGES, TARGET, epoch=2, batch=7)
    ratio = target[0, TARGET[0]]
    torch.testing.assert_close(image, ratio * IMAGES + (1 - ratio) * IMAGES.roll(1, 0))
    np.testing.assert_allclose(label_weights(target), ratio, rtol=1e-5)


def test_cutmix_pastes_a_rectangle_of_the_neighbour():
    image, target = build("cutmix", 3, seed=1)(IMAGES, TARGET, epoch=0, batch=0)
    pasted = image != IMAGES
    rows, columns = pasted[0, 0].any(1).sum(), pasted[0, 0].any(0).sum()
    assert pasted[0].sum() == rows * columns > 0
    assert torch.equal(image[pasted], IMAGES.roll(1, 0)[pasted])
    np.testing.assert_allclose(label_weights(target), 1 - (rows * columns) / 144, rtol=1e-5)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_ratios_follow_the_beta_distribution(name):
    mix = build(name, 2, seed=0, alpha=0.4)
    labels = torch.arange(8) % 2
    ratios = [mix(torch.rand(8, 1, 64, 64), labels, 0, batch)[1][0, 0].item() for batch in range(400)]
    if name == "mixup":
        # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
        assert np.mean(ratios) == pytest.approx(0.5, abs=0.07)
        assert np.var(ratios) == pytest.approx(1 / (4 * 1.8), rel=0.15)
    else:
        # Rectangles are clipped at the border, so the original keeps more than the sampled ratio.
        assert 0.5 < np.mean(ratios) < 0.8


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_votes_are_mixed_too(name):
    votes = torch.rand(8, 3).softmax(1)
    _, labels = build(name, 3, seed=0)(IMAGES, TARGET, 0, 0)
    _, mixed = build(name, 3, seed=0)(IMAGES, votes, 0, 0)
    ratio = labels[0, TARGET[0]]
    torch.testing.assert_close(mixed, ratio * votes + (1 - ratio) * votes.roll(1, 0))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_depends_only_on_seed_epoch_and_batch(name):
    def mixed(seed, epoch, batch):
        return build(name, 3, seed)(IMAGES, TARGET, epoch, batch)[0]

    torch.manual_seed(1)
    first, state = mixed(0, 1, 2), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(mixed(0, 1, 2), first)
    others = [mixed(1, 1, 2), mixed(0, 2, 2), mixed(0, 1, 3), mixed(0, 12, 0)]
    assert not any(torch.equal(first, other) for other in others)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_probability():
    mix = build("mixup", 3, seed=0, probability=0.25)
    mixed = sum(mix(IMAGES, TARGET, 0, batch)[1].ndim == 2 for batch in range(400))
    assert 75 <= mixed <= 125
    assert all(build("mixup", 3, 0, probability=0.0)(IMAGES, TARGET, 0, b)[0] is IMAGES for b in range(20))


def test_none_returns_the_batch_unchanged():
    image, target = Mix({"name": "none"}, 3, 0)(IMAGES, TARGET, 0, 0)
    assert image is IMAGES
    assert target is TARGET


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"name": "cutmx"},
            "mix.name: expected one of none, mixup, cutmix, got 'cutmx'. Did you mean 'cutmix'",
        ),
        ({"name": "mixup", "alpha": 0.0}, "mix.alpha: expected a number above 0, got 0.0"),
        ({"name": "mixup", "probability": 1.5}, r"mix.probability: expected a number in \[0, 1\], got 1.5"),
    ],
)
def test_invalid_options(config, message):
    with pytest.raises(FerError, match=message):
        Mix(config, 3, 0)


def test_training_accuracy_uses_the_label_with_the_larger_weight(tiny_run, monkeypatch):
    from fer.training.module import EmotionModule

    def predict_target(self, image):
        """Return the recorded target as logits."""
        return self.recorded_target.clone().requires_grad_()

    def record_target(self, image, target, stage, step=EmotionModule._shared_step):
        self.recorded_target = target.float() if target.ndim == 2 else torch.eye(7)[target]
        return step(self, image, target, stage)

    monkeypatch.setattr(EmotionModule, "forward", predict_target)
    monkeypatch.setattr(EmotionModule, "_shared_step", record_target)
    run = tiny_run("mix=mixup", "mix.alpha=0.1")
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert float(rows[0]["train/accuracy"]) == 1.0
