"""Corruptions of images: same shape, deterministic, stronger at each strength."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from image_layouts import faces

from fer.core.errors import FerError
from fer.evaluation.corruptions import (
    CORRUPTIONS,
    STRENGTHS,
    add_noise,
    blur,
    corrupt,
    occlude,
    reduce_resolution,
    rotate,
)


@pytest.fixture(scope="module")
def synthetic_faces():
    """RGB ``(N, 48, 48, 3)``."""
    return np.asarray(faces()[0].images)


@pytest.fixture(scope="module")
def real_faces():
    """The first 200 faces of FER2013, ``(200, 48, 48, 1)``."""
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    with (Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv").open() as file:
        lines = list(itertools.islice(file, 1, 201))
    pixels = [np.fromstring(line.split(",")[1].strip('"'), np.uint8, sep=" ") for line in lines]
    return np.stack(pixels).reshape(-1, 48, 48, 1)


def distances(images, name, seed=0):
    """Return the root mean squared difference from each image, at strengths 0 to 5, ``(6, N)``."""
    changed = [corrupt(images, name, strength, range(len(images)), seed) for strength in (0, *STRENGTHS)]
    return np.stack([np.sqrt(np.square(one - images.astype(float)).mean((1, 2, 3))) for one in changed])


@pytest.mark.parametrize(
    "shape", [(2, 48, 48, 1), (2, 48, 48, 3), (1, 224, 224, 3), (2, 31, 20, 1), (1, 1, 1, 3)]
)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_shape_and_type_are_kept_and_the_input_is_not_changed(name, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = images.copy()
    for strength in (0, *STRENGTHS):
        changed = corrupt(images, name, strength, range(len(images)))
        assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
        assert not np.shares_memory(changed, images)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_strength_0_is_the_image(name, synthetic_faces):
    assert np.array_equal(corrupt(synthetic_faces, name, 0, range(len(synthetic_faces))), synthetic_faces)


@pytest.mark.parametrize(
    ("apply", "parameter"), [(blur, 0), (add_noise, 0), (reduce_resolution, 48), (rotate, 0), (occlude, 0)]
)
def test_a_corruption_without_effect_is_the_identity(apply, parameter, synthetic_faces):
    image = synthetic_faces[0]
    assert np.array_equal(apply(image, parameter, np.random.default_rng(0)), image)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_changes_synthetic_faces_more(name, synthetic_faces):
    assert (np.diff(distances(synthetic_faces, name).mean(1)) > 0.5).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_changes_real_faces_more(name, real_faces):
    by_strength = distances(real_faces, name)
    assert (np.diff(by_strength.mean(1)) > 1).all()
    # A rotated part of an image can be similar to it by chance
    grows = (np.diff(by_strength, axis=0) >= 0).mean()
    assert grows > (0.9 if name == "rotation" else 0.99)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_result_depends_on_the_row_and_the_seed_alone(name, synthetic_faces):
    images, rows = synthetic_faces[:8], np.arange(100, 108)
    together = corrupt(images, name, 3, rows)
    alone = [corrupt(images[i : i + 1], name, 3, rows[i : i + 1])[0] for i in reversed(range(8))][::-1]
    assert np.array_equal(together, np.stack(alone))
    is_random = name in ("darkness", "noise", "rotation", "occlusion")
    assert np.array_equal(together, corrupt(images, name, 3, rows, seed=1)) != is_random


def test_seeded_corruptions_do_not_change():
    image = np.arange(48 * 48, dtype=np.uint32).astype(np.uint8).reshape(1, 48, 48, 1)
    sums = {name: int(corrupt(image, name, 3, [7], seed=2).sum()) for name in ("noise", "occlusion")}
    assert sums == {"noise": 292391, "occlusion": 293182}


def test_a_stronger_occlusion_covers_a_weaker_one():
    white = np.full((20, 48, 48, 1), 255, np.uint8)
    masks = [corrupt(white, "occlusion", strength, range(20)) < 255 for strength in STRENGTHS]
    assert all((weak <= strong).all() for weak, strong in itertools.pairwise(masks))
    areas = [mask.mean() for mask in masks]
    assert areas == pytest.approx(CORRUPTIONS["occlusion"].parameters, abs=0.02)


def test_rotation_goes_both_ways(synthetic_faces):
    image = np.repeat(synthetic_faces[:1], 20, axis=0)
    assert len(np.unique(corrupt(image, "rotation", 3, range(20)), axis=0)) == 2


def test_blur_and_resolution_scale_with_the_side():
    large = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 1), np.uint8).repeat(16, 1).repeat(16, 2)
    small = large[:, ::4, ::4]
    for name in ("blur", "low_resolution"):
        shrunk = corrupt(large, name, 3, [0]).reshape(48, 4, 48, 4).mean((1, 3))
        assert np.abs(shrunk - corrupt(small, name, 3, [0])[0, ..., 0]).mean() < 4


def test_unknown_names_and_strengths_are_refused(synthetic_faces):
    with pytest.raises(FerError, match=r"corruption: expected one of darkness, .*got nois\..*noise"):
        corrupt(synthetic_faces, "nois", 1, range(2))
    with pytest.raises(FerError, match=r"strength: expected 0 to 5, got 6\."):
        corrupt(synthetic_faces, "noise", 6, range(2))
