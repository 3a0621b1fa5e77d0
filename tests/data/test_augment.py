"""Batched augmentation: against OpenCV and torchvision, and ranges, seeds and areas."""

import math
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import pytest
import torch
import yaml
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from fer.core.errors import FerError
from fer.data.augment import (
    BatchAugmentation,
    adjust_brightness_contrast,
    affine_matrices,
    erase,
    to_float,
    warp,
)
from fer.data.augment_config import AugmentationConfig

CONF = Path(__file__).parents[2] / "conf" / "augmentation"
CONFIGS = {name: AugmentationConfig(**yaml.safe_load((CONF / f"{name}.yaml").read_text())) for name in
           ("none", "light", "standard", "strong")}  # fmt: skip


def noise(batch=4, channels=1, side=48, seed=0):
    return torch.randint(0, 256, (batch, channels, side, side), generator=seeded(seed)).to(torch.uint8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(side=48):
    yy, xx = np.mgrid[:side, :side] / side
    return np.float32(0.5 + 0.25 * np.sin(7 * xx + 2 * yy) + 0.25 * np.cos(5 * yy - 3 * xx * yy))


def test_warp_equals_opencv():
    image, matrix = smooth(), torch.tensor([[[0.9, -0.2, 0.1], [0.25, 0.8, -0.15]]])
    # From [-1, 1] to pixel indices.
    scale, half = 48 / 2, (48 - 1) / 2
    linear = matrix[0, :, :2].double().numpy()
    shift = scale * matrix[0, :, 2].double().numpy() + half - linear @ [half, half]
    pixels = np.column_stack([linear, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(image, pixels, (48, 48), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    got = warp(torch.from_numpy(image)[None, None], matrix, 48)[0, 0].numpy()
    # OpenCV rounds positions to 1/32 pixel.
    assert np.abs(got - expected).max() < 0.01


@pytest.mark.parametrize(("field", "row", "draw", "angle", "scale", "move", "shear"), [
    ("rotation", 1, 1.0, -20, 1.0, 0, 0.0),
    ("scale", 2, 1.0, 0, 1.2, 0, 0.0),
    ("scale", 2, 0.0, 0, 0.8, 0, 0.0),
    ("translate", 4, 0.0, 0, 1.0, 12, 0.0),
])  # fmt: skip
def test_parameters_agree_with_torchvision(field, row, draw, angle, scale, move, shear):
    config = AugmentationConfig(**{field: {"rotation": 20, "scale": 0.2, "translate": 0.25}[field]})
    draws = torch.full((9, 1), 0.5)
    draws[row] = draw
    image = torch.from_numpy(smooth())[None, None]
    got = warp(image, affine_matrices(config, draws), 48)
    expected = affine(image, angle, [move, 0], scale, [shear], InterpolationMode.BILINEAR)
    # Torchvision pads with zeros, so only the inner part is compared.
    inner = (..., slice(14, 34), slice(14, 34))
    torch.testing.assert_close(got[inner], expected[inner], atol=2e-3, rtol=0)


def test_flip_is_exact_and_affects_half_of_the_images():
    images = noise(400, side=8)
    got = BatchAugmentation(AugmentationConfig(flip=0.5))(images, 8, seeded())
    originals = to_float(images, 8)
    flipped = torch.isclose(got, originals.flip(-1), atol=1e-5).flatten(1).all(1)
    unchanged = torch.isclose(got, originals, atol=1e-5).flatten(1).all(1)
    assert torch.all(flipped ^ unchanged)
    assert 150 < flipped.sum() < 250


def test_crop_stays_inside_the_image():
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1]]).T
    reached = affine_matrices(AugmentationConfig(crop=0.5), torch.rand(9, 1000, generator=seeded())) @ corners
    assert reached.abs().max() <= 1 + 1e-6
    extent = (reached[:, 0, 1] - reached[:, 0, 0]) / 2
    assert extent.min() >= 0.5
    assert extent.min() < 0.55


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("channels", "side", "size"), [(1, 48, 48), (1, 48, 24), (3, 64, 40), (3, 32, 48)])
def test_range_shape_and_dtype(name, channels, side, size):
    got = BatchAugmentation(CONFIGS[name])(noise(16, channels, side), size, seeded())
    assert got.shape == (16, channels, size, size)
    assert got.dtype == torch.float32
    assert got.min() >= 0
    assert got.max() <= 1


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_the_result_depends_on_the_seed(name):
    augment, images = BatchAugmentation(CONFIGS[name]), noise(8)
    assert torch.equal(augment(images, 48, seeded(3)), augment(images, 48, seeded(3)))
    assert not torch.equal(augment(images, 48, seeded(3)), augment(images, 48, seeded(4)))
    torch.manual_seed(5)
    first = augment(images, 48)
    torch.manual_seed(5)
    assert torch.equal(first, augment(images, 48))


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_equal_images_get_different_augmentations(name):
    got = BatchAugmentation(CONFIGS[name])(noise(1).expand(32, -1, -1, -1), 48, seeded())
    assert len(torch.unique(got.flatten(1), dim=0)) == 32


@pytest.mark.parametrize("size", [24, 40, 48, 64])
def test_none_only_resizes(size):
    images = noise()
    assert torch.equal(BatchAugmentation(CONFIGS["none"])(images, size, seeded()), to_float(images, size))


def test_no_warp_without_geometry(monkeypatch):
    monkeypatch.setattr("fer.data.augment.warp", None)
    BatchAugmentation(AugmentationConfig(contrast=0.2, erase=0.5, erase_max=0.2))(noise(), 48)


@pytest.mark.parametrize(("side", "size"), [(48, 48), (48, 24), (48, 32), (48, 96)])
def test_resize_is_close_to_opencv(side, size):
    image = (smooth(side) * 255).round().astype(np.uint8)
    expected = cv2.resize(image.astype(np.float32) / 255, (size, size), interpolation=cv2.INTER_LINEAR)
    got = to_float(torch.from_numpy(image)[None, None], size)[0, 0].numpy()
    assert np.abs(got - expected).max() < 0.02


def test_shrinking_does_not_alias():
    stripes = torch.zeros(1, 1, 48, 48, dtype=torch.uint8)
    stripes[..., ::2] = 255
    for size in (16, 24):
        inner = to_float(stripes, size)[..., 2:-2]
        assert (inner - 0.5).abs().max() < 0.1


def test_contrast_does_not_change_the_mean_brightness():
    image = torch.from_numpy(smooth())[None, None] * 0.2 + 0.4
    # Half of the brightness range, all of the contrast range.
    draws = torch.tensor([[0.75], [1.0]])
    got = adjust_brightness_contrast(image.clone(), AugmentationConfig(brightness=0.2, contrast=0.5), draws)
    assert got.mean() == pytest.approx(image.mean().item() + 0.1, abs=1e-5)
    assert got.std() == pytest.approx(1.5 * image.std().item(), rel=1e-4)


def test_erased_fraction_of_area_and_of_images():
    config = AugmentationConfig(erase=0.5, erase_min=0.05, erase_max=0.2)
    pixels = torch.rand(2000, 1, 48, 48, generator=seeded())
    erased = erase(pixels, config, torch.rand(5, 2000, generator=seeded(1))) != pixels
    fraction = erased.float().mean(dim=(1, 2, 3))
    affected = fraction > 0
    assert affected.float().mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 2000))
    # The tolerance is for sides rounded to integer pixels.
    assert fraction[affected].min() > 0.05 * 0.85
    assert fraction[affected].max() < 0.2 * 1.15
    assert fraction[affected].mean() == pytest.approx(0.125, rel=0.05)
    # Every row and every column is erased in some image.
    assert erased.any(dim=0).any(dim=-1).all()
    assert erased.any(dim=0).any(dim=-2).all()


def test_erased_rectangle_has_the_image_mean():
    pixels = torch.rand(1, 1, 48, 48, generator=seeded())
    got = erase(
        pixels,
        AugmentationConfig(erase=1.0, erase_min=0.1, erase_max=0.1),
        torch.rand(5, 1, generator=seeded()),
    )
    torch.testing.assert_close(got[got != pixels].unique(), pixels.mean().reshape(1))


@pytest.mark.parametrize(("field", "value"), [
    ("flip", 1.5), ("rotation", -1), ("scale", 1.0), ("crop", 1.0), ("shear", 90), ("erase_min", 0.1),
])  # fmt: skip
def test_numbers_out_of_range_are_named(field, value):
    with pytest.raises(FerError, match=rf"augmentation\.{field}: expected a number in .* got {value}"):
        AugmentationConfig(**{field: value})


@pytest.mark.parametrize("name", CONFIGS)
def test_each_config_file_has_every_field(name):
    assert yaml.safe_load((CONF / f"{name}.yaml").read_text()).keys() == vars(AugmentationConfig()).keys()


def test_no_loop_over_images():
    augment = BatchAugmentation(CONFIGS["standard"])

    def seconds(batch):
        images = noise(batch, side=4)
        best = math.inf
        for _ in range(5):
            start = perf_counter()
            augment(images, 4)
            best = min(best, perf_counter() - start)
        return best

    # The batch is 128 times larger.
    assert seconds(1024) < 30 * seconds(8)


def test_blur_and_noise_change_half_of_the_images():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (400, 1, 12, 12), dtype=np.uint8))
    for config in (AugmentationConfig(blur=0.1), AugmentationConfig(noise=0.3)):
        result = BatchAugmentation(config)(images, 12, torch.Generator().manual_seed(0))
        changed = (result - images / 255).abs().amax((1, 2, 3)) > 1e-4
        assert 0.4 < changed.float().mean() < 0.6
        assert result.min() >= 0
        assert result.max() <= 1


def test_blur_keeps_flat_images_and_the_mean():
    flat = torch.full((8, 3, 16, 16), 77, dtype=torch.uint8)
    blurred = BatchAugmentation(AugmentationConfig(blur=0.2))(flat, 16, torch.Generator().manual_seed(0))
    assert torch.allclose(blurred, torch.tensor(77 / 255), atol=1e-5)
    point = torch.zeros(64, 1, 33, 33, dtype=torch.uint8)
    point[:, :, 16, 16] = 255
    blurred = BatchAugmentation(AugmentationConfig(blur=0.05))(point, 33, torch.Generator().manual_seed(0))
    assert torch.allclose(blurred.sum((1, 2, 3)), torch.tensor(1.0), atol=1e-3)
    assert blurred.amax((1, 2, 3)).min() < 0.2
