"""Batched augmentation: against OpenCV and torchvision, and what it promises about range, seeds and areas."""

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

from fer.data.augment import BatchAugmentation, Recipe, affine_matrices, change_light, erase, to_float, warp
from fer.errors import FerError

CONF = Path(__file__).parents[2] / "conf" / "augmentation"
RECIPES = {name: Recipe(**yaml.safe_load((CONF / f"{name}.yaml").read_text())) for name in
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
    scale, half = 48 / 2, (48 - 1) / 2  # from [-1, 1] to pixel indices
    linear = matrix[0, :, :2].double().numpy()
    shift = scale * matrix[0, :, 2].double().numpy() + half - linear @ [half, half]
    pixels = np.column_stack([linear, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(image, pixels, (48, 48), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    got = warp(torch.from_numpy(image)[None, None], matrix, 48)[0, 0].numpy()
    assert np.abs(got - expected).max() < 0.01  # OpenCV rounds positions to 1/32 pixel


@pytest.mark.parametrize(("field", "row", "draw", "angle", "scale", "move", "shear"), [
    ("rotation", 1, 1.0, -20, 1.0, 0, 0.0),
    ("scale", 2, 1.0, 0, 1.2, 0, 0.0),
    ("scale", 2, 0.0, 0, 0.8, 0, 0.0),
    ("translate", 4, 0.0, 0, 1.0, 12, 0.0),
])  # fmt: skip
def test_parameters_mean_what_torchvision_means(field, row, draw, angle, scale, move, shear):
    recipe = Recipe(**{field: {"rotation": 20, "scale": 0.2, "translate": 0.25}[field]})
    draws = torch.full((9, 1), 0.5)
    draws[row] = draw
    image = torch.from_numpy(smooth())[None, None]
    got = warp(image, affine_matrices(recipe, draws), 48)
    expected = affine(image, angle, [move, 0], scale, [shear], InterpolationMode.BILINEAR)
    inner = (..., slice(14, 34), slice(14, 34))  # torchvision pads with zeros
    torch.testing.assert_close(got[inner], expected[inner], atol=2e-3, rtol=0)


def test_flip_alone_is_exact_and_hits_half_of_the_images():
    images = noise(400, side=8)
    got = BatchAugmentation(Recipe(flip=0.5))(images, 8, seeded())
    plain = to_float(images, 8)
    flipped = torch.isclose(got, plain.flip(-1), atol=1e-5).flatten(1).all(1)
    kept = torch.isclose(got, plain, atol=1e-5).flatten(1).all(1)
    assert torch.all(flipped ^ kept)
    assert 150 < flipped.sum() < 250


def test_crop_stays_inside_the_image():
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1]]).T
    reached = affine_matrices(Recipe(crop=0.5), torch.rand(9, 1000, generator=seeded())) @ corners
    assert reached.abs().max() <= 1 + 1e-6
    extent = (reached[:, 0, 1] - reached[:, 0, 0]) / 2
    assert extent.min() >= 0.5
    assert extent.min() < 0.55


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("channels", "side", "size"), [(1, 48, 48), (1, 48, 24), (3, 64, 40), (3, 32, 48)])
def test_range_shape_and_type(name, channels, side, size):
    got = BatchAugmentation(RECIPES[name])(noise(16, channels, side), size, seeded())
    assert got.shape == (16, channels, size, size)
    assert got.dtype == torch.float32
    assert got.min() >= 0
    assert got.max() <= 1


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_seed_decides(name):
    augment, images = BatchAugmentation(RECIPES[name]), noise(8)
    assert torch.equal(augment(images, 48, seeded(3)), augment(images, 48, seeded(3)))
    assert not torch.equal(augment(images, 48, seeded(3)), augment(images, 48, seeded(4)))
    torch.manual_seed(5)
    first = augment(images, 48)
    torch.manual_seed(5)
    assert torch.equal(first, augment(images, 48))


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_equal_images_become_different(name):
    got = BatchAugmentation(RECIPES[name])(noise(1).expand(32, -1, -1, -1), 48, seeded())
    assert len(torch.unique(got.flatten(1), dim=0)) == 32


@pytest.mark.parametrize("size", [24, 40, 48, 64])
def test_none_only_resizes(size):
    images = noise()
    assert torch.equal(BatchAugmentation(RECIPES["none"])(images, size, seeded()), to_float(images, size))


def test_none_never_warps(monkeypatch):
    monkeypatch.setattr("fer.data.augment.warp", None)
    BatchAugmentation(Recipe(contrast=0.2, erase=0.5, erase_max=0.2))(noise(), 48)


@pytest.mark.parametrize(("side", "size"), [(48, 48), (48, 24), (48, 32), (48, 96)])
def test_resize_close_to_opencv(side, size):
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


def test_changing_light_leaves_the_mean_to_brightness():
    image = torch.from_numpy(smooth())[None, None] * 0.2 + 0.4
    draws = torch.tensor([[0.75], [1.0]])  # half of the brightness range, all of the contrast range
    got = change_light(image.clone(), Recipe(brightness=0.2, contrast=0.5), draws)
    assert got.mean() == pytest.approx(image.mean().item() + 0.1, abs=1e-5)
    assert got.std() == pytest.approx(1.5 * image.std().item(), rel=1e-4)


def test_erased_share_of_area_and_of_images():
    recipe = Recipe(erase=0.5, erase_min=0.05, erase_max=0.2)
    pixels = torch.rand(2000, 1, 48, 48, generator=seeded())
    painted = erase(pixels, recipe, torch.rand(5, 2000, generator=seeded(1))) != pixels
    share = painted.float().mean(dim=(1, 2, 3))
    hit = share > 0
    assert hit.float().mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 2000))
    assert share[hit].min() > 0.05 * 0.85  # sides are whole pixels
    assert share[hit].max() < 0.2 * 1.15
    assert share[hit].mean() == pytest.approx(0.125, rel=0.05)
    assert painted.any(dim=0).any(dim=-1).all()  # every row
    assert painted.any(dim=0).any(dim=-2).all()  # every column


def test_erased_rectangle_holds_the_image_mean():
    pixels = torch.rand(1, 1, 48, 48, generator=seeded())
    got = erase(pixels, Recipe(erase=1.0, erase_min=0.1, erase_max=0.1), torch.rand(5, 1, generator=seeded()))
    torch.testing.assert_close(got[got != pixels].unique(), pixels.mean().reshape(1))


@pytest.mark.parametrize(("field", "value"), [
    ("flip", 1.5), ("rotation", -1), ("scale", 1.0), ("crop", 1.0), ("shear", 90), ("erase_min", 0.1),
])  # fmt: skip
def test_numbers_outside_their_range_are_named(field, value):
    with pytest.raises(FerError, match=rf"augmentation\.{field}: expected a number in .* got {value}"):
        Recipe(**{field: value})


@pytest.mark.parametrize("name", RECIPES)
def test_each_option_file_names_every_field(name):
    assert yaml.safe_load((CONF / f"{name}.yaml").read_text()).keys() == vars(Recipe()).keys()


def test_no_loop_over_images():
    augment = BatchAugmentation(RECIPES["standard"])

    def seconds(batch):
        images = noise(batch, side=4)
        best = math.inf
        for _ in range(5):
            start = perf_counter()
            augment(images, 4)
            best = min(best, perf_counter() - start)
        return best

    assert seconds(1024) < 30 * seconds(8)  # 128 times the images
