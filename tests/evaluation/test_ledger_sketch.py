"""Sketches estimate the overlap of two sets."""

import numpy as np
import pytest

from fer.data.sketch import SKETCH_SIZE, estimate_overlap, make_sketch

ITEMS = [f"image {number}".encode() for number in range(4000)]


def test_order_and_duplicates_do_not_matter():
    assert make_sketch(ITEMS) == make_sketch(reversed(ITEMS)) == make_sketch([*ITEMS, *ITEMS[:9]])
    assert len(make_sketch(ITEMS)) == SKETCH_SIZE


@pytest.mark.parametrize("sizes", [(4000, 4000), (3589, 359), (200, 100), (300, 20), (2, 1)])
def test_overlap_of_a_subset_is_one(sizes):
    full, part = (make_sketch(ITEMS[:size]) for size in sizes)
    assert estimate_overlap(full, part) == estimate_overlap(part, full) == 1.0


@pytest.mark.parametrize("shared", [0, 100, 400, 1000])
def test_overlap_is_estimated(shared):
    """Tolerance for 256 hashes: three standard errors of a proportion of 0.5 are 0.1."""
    overlap = estimate_overlap(make_sketch(ITEMS[:2000]), make_sketch(ITEMS[2000 - shared : 4000 - shared]))
    assert overlap == pytest.approx(shared / 2000, abs=0.1 if shared else 0)


def test_overlap_of_empty_sketches_is_zero():
    assert make_sketch([]) == []
    assert estimate_overlap([], make_sketch(ITEMS)) == estimate_overlap([], []) == 0.0


def test_each_image_has_one_hash():
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    assert len(make_sketch(map(bytes, faces))) == 5
