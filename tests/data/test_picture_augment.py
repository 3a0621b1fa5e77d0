import random
import sys

import numpy as np
import pytest
import torch
from picture_layouts import faces

from fer.data.augment import BatchAugmentation, Recipe, erase
from fer.data.picture_augment import _rectangle, augment_picture
from fer.errors import FerError


@pytest.fixture
def face():
    return faces()[0].images[0]


def many(picture, recipe, number=400):
    return np.stack([augment_picture(picture, recipe, str(i)) for i in range(number)])


def batched(picture, recipe, number=400):
    images = torch.from_numpy(picture).permute(2, 0, 1).repeat(number, 1, 1, 1)
    out = BatchAugmentation(recipe)(images, len(picture), torch.Generator().manual_seed(0))
    return out.permute(0, 2, 3, 1).numpy() * 255


def test_no_augmentation_needs_nothing(face, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    assert augment_picture(face, Recipe(), "0") is face


def test_without_albumentations(face, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(FerError, match="needs albumentations, which is not installed"):
        augment_picture(face, Recipe(rotation=3.21), "0")


def test_rectangles_are_those_of_the_batched_recipe():
    """Share and place of the erased area have the same distribution."""
    recipe = Recipe(erase=1.0, erase_min=0.05, erase_max=0.3)
    draw = random.Random(0).random
    ours = np.zeros((3000, 24, 24), bool)
    for mask in ours:
        mask[_rectangle(recipe, 24, draw)] = True
    checks = torch.arange(24)[:, None] + torch.arange(24)[None] * 2.0
    images = checks.repeat(3000, 1, 1, 1)
    theirs = erase(images, recipe, torch.rand(5, 3000, generator=torch.Generator().manual_seed(0))) != images
    assert np.abs(ours.mean(0) - theirs[:, 0].float().mean(0).numpy()).max() < 0.05
    sides = [(masks.any(2).sum(1), masks.any(1).sum(1)) for masks in (ours, theirs[:, 0].numpy())]
    for mine, other in zip(*sides, strict=True):
        np.testing.assert_allclose(
            np.percentile(mine, [10, 50, 90]), np.percentile(other, [10, 50, 90]), atol=1
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_repeatability(face, channels):
    recipe = Recipe(0.5, 20.0, 0.1, 0.1, 5.0, 0.1, 0.2, 0.3, 0.5, 0.02, 0.2)
    picture = np.ascontiguousarray(face[..., :channels])
    first = augment_picture(picture, recipe, "a")
    assert (first.shape, first.dtype) == (picture.shape, np.uint8)
    np.testing.assert_array_equal(first, augment_picture(picture, recipe, "a"))
    assert (first != augment_picture(picture, recipe, "b")).any()


def test_flip(face):
    views = many(face, Recipe(flip=0.3))
    mirrored = (views == face[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (views == face).all(axis=(1, 2, 3))).all()
    assert 0.22 < mirrored.mean() < 0.38


RECIPES = {
    "rotation": Recipe(rotation=30.0),
    "scale": Recipe(scale=0.3),
    "translate": Recipe(translate=0.2),
    "shear": Recipe(shear=20.0),
    "crop": Recipe(crop=0.3),
    "brightness": Recipe(brightness=0.3),
    "contrast": Recipe(contrast=0.6),
    "erase": Recipe(erase=0.7, erase_min=0.05, erase_max=0.3),
}


@pytest.mark.parametrize("name", RECIPES)
def test_numbers_mean_what_they_mean_to_the_batched_recipe(face, name):
    """Mean and spread of each pixel over many views agree between the two implementations."""
    ours, theirs = many(face, RECIPES[name]).astype(float), batched(face, RECIPES[name])
    assert np.abs(ours.mean(0) - theirs.mean(0)).mean() < 3
    spread, expected = ours.std(0).mean(), theirs.std(0).mean()
    assert abs(spread - expected) < 0.12 * expected + 0.5
