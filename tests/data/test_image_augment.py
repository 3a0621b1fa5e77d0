"""Augmentation of single images, compared with that of batches."""

import random
import sys

import numpy as np
import pytest
import torch
from image_layouts import faces

from fer.core.errors import FerError
from fer.data.augment import BatchAugmentation, erase
from fer.data.augment_config import AugmentationConfig
from fer.data.image_augment import _rectangle, augment_image


@pytest.fixture
def face():
    return faces()[0].images[0]


def augmented_one_by_one(image, config, number=400):
    return np.stack([augment_image(image, config, str(i)) for i in range(number)])


def augmented_as_batch(image, config, number=400):
    images = torch.from_numpy(image).permute(2, 0, 1).repeat(number, 1, 1, 1)
    out = BatchAugmentation(config)(images, len(image), torch.Generator().manual_seed(0))
    return out.permute(0, 2, 3, 1).numpy() * 255


def test_no_augmentation_needs_no_albumentations(face, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    assert augment_image(face, AugmentationConfig(), "0") is face


def test_without_albumentations(face, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(FerError, match="needs albumentations, which is not installed"):
        augment_image(face, AugmentationConfig(rotation=3.21), "0")


def test_erased_rectangles_agree_with_the_batched_augmentation():
    """Size and position of the erased area have the same distribution."""
    config = AugmentationConfig(erase=1.0, erase_min=0.05, erase_max=0.3)
    uniform = random.Random(0).random
    single = np.zeros((3000, 24, 24), bool)
    for mask in single:
        mask[_rectangle(config, 24, uniform)] = True
    gradient = torch.arange(24)[:, None] + torch.arange(24)[None] * 2.0
    images = gradient.repeat(3000, 1, 1, 1)
    batched = erase(images, config, torch.rand(5, 3000, generator=torch.Generator().manual_seed(0))) != images
    assert np.abs(single.mean(0) - batched[:, 0].float().mean(0).numpy()).max() < 0.05
    sides = [(masks.any(2).sum(1), masks.any(1).sum(1)) for masks in (single, batched[:, 0].numpy())]
    for first, second in zip(*sides, strict=True):
        np.testing.assert_allclose(
            np.percentile(first, [10, 50, 90]), np.percentile(second, [10, 50, 90]), atol=1
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_reproducibility(face, channels):
    config = AugmentationConfig(
        flip=0.5, rotation=20.0, scale=0.1, translate=0.1, shear=5.0, crop=0.1, brightness=0.2, contrast=0.3,
        erase=0.5, erase_min=0.02, erase_max=0.2,
    )  # fmt: skip
    image = np.ascontiguousarray(face[..., :channels])
    first = augment_image(image, config, "a")
    assert (first.shape, first.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(first, augment_image(image, config, "a"))
    assert (first != augment_image(image, config, "b")).any()


def test_flip(face):
    views = augmented_one_by_one(face, AugmentationConfig(flip=0.3))
    mirrored = (views == face[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (views == face).all(axis=(1, 2, 3))).all()
    assert 0.22 < mirrored.mean() < 0.38


CONFIGS = {
    "rotation": AugmentationConfig(rotation=30.0),
    "scale": AugmentationConfig(scale=0.3),
    "translate": AugmentationConfig(translate=0.2),
    "shear": AugmentationConfig(shear=20.0),
    "crop": AugmentationConfig(crop=0.3),
    "brightness": AugmentationConfig(brightness=0.3),
    "contrast": AugmentationConfig(contrast=0.6),
    "erase": AugmentationConfig(erase=0.7, erase_min=0.05, erase_max=0.3),
    "blur": AugmentationConfig(blur=0.1),
    "noise": AugmentationConfig(noise=0.2),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_options_agree_with_the_batched_augmentation(face, name):
    """Mean and standard deviation of each pixel over many views agree between the two implementations."""
    single, batched = (
        augmented_one_by_one(face, CONFIGS[name]).astype(float),
        augmented_as_batch(face, CONFIGS[name]),
    )
    assert np.abs(single.mean(0) - batched.mean(0)).mean() < 3
    deviation, expected = single.std(0).mean(), batched.std(0).mean()
    assert abs(deviation - expected) < 0.12 * expected + 0.5
