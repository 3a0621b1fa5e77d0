"""A sketch tells what two sets share, without either of them."""

import numpy as np
import pytest

from fer.analysis.sketch import SIZE, overlap, sketch

ITEMS = [f"image {number}".encode() for number in range(4000)]


def test_order_and_copies_do_not_matter():
    assert sketch(ITEMS) == sketch(reversed(ITEMS)) == sketch([*ITEMS, *ITEMS[:9]])
    assert len(sketch(ITEMS)) == SIZE


@pytest.mark.parametrize("sizes", [(4000, 4000), (3589, 359), (200, 100), (300, 20), (2, 1)])
def test_a_part_is_known_again(sizes):
    whole, part = (sketch(ITEMS[:size]) for size in sizes)
    assert overlap(whole, part) == overlap(part, whole) == 1.0


@pytest.mark.parametrize("shared", [0, 100, 400, 1000])
def test_the_share_is_estimated(shared):
    """Within what 256 marks allow: three standard errors of a share of 0.5 are 0.1."""
    found = overlap(sketch(ITEMS[:2000]), sketch(ITEMS[2000 - shared : 4000 - shared]))
    assert found == pytest.approx(shared / 2000, abs=0.1 if shared else 0)


def test_nothing_is_in_nothing():
    assert sketch([]) == []
    assert overlap([], sketch(ITEMS)) == overlap([], []) == 0.0


def test_a_hash_of_each_image():
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    assert len(sketch(map(bytes, faces))) == 5
