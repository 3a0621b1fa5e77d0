"""Tracking of faces by the overlap of their boxes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.faces.base import Face
from fer.predict.video.tracking import BoxTracker, _pairs, box_iou


def face(x, y=100.0, side=40.0):
    return Face((float(x), float(y), side, side), 0.9)


boxes = st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=1, max_size=5)


@given(boxes, boxes)
def test_overlap_is_the_fraction_of_pixels(first, second):
    def pixels(box):
        left, top, width, height = box
        return {(x, y) for x in range(left, left + width) for y in range(top, top + height)}

    result = box_iou(np.array(first, float), np.array(second, float))
    for i, j in itertools.product(range(len(first)), range(len(second))):
        both, either = pixels(first[i]) & pixels(second[j]), pixels(first[i]) | pixels(second[j])
        assert result[i, j] == pytest.approx(len(both) / len(either) if either else 0)


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10_000))
def test_no_other_pairing_has_larger_overlaps_in_order(rows, columns, seed):
    """The greedy pairing has the lexicographically largest sorted overlaps of all one-to-one pairings."""
    iou = np.random.default_rng(seed).random((rows, columns))
    result = sorted((iou[pair] for pair in _pairs(iou, 0.0)), reverse=True)
    smaller, larger = sorted((rows, columns))
    table = iou if rows <= columns else iou.T
    all_pairings = (
        sorted((table[i, j] for i, j in zip(range(smaller), chosen, strict=True)), reverse=True)
        for chosen in itertools.permutations(range(larger), smaller)
    )
    assert result == max(all_pairings)


def test_pairs_below_the_minimum_overlap_are_dropped():
    assert dict(_pairs(np.array([[0.29, 0.0], [0.3, 0.9]]), 0.3)) == {1: 1}


@given(st.integers(1, 5), st.integers(0, 10_000))
def test_numbers_do_not_depend_on_the_order_of_faces(count, seed):
    rng = np.random.default_rng(seed)
    positions, speeds = np.arange(count) * 120.0, rng.uniform(-3, 3, (count, 2))
    tracker, numbers = BoxTracker(), {}
    for step in range(20):
        order = rng.permutation(count)
        noise = rng.uniform(-2, 2, (count, 2))
        faces = [face(positions[i] + speeds[i, 0] * step + noise[i, 0], 100 + noise[i, 1]) for i in order]
        for i, number in zip(order, tracker.update(faces), strict=True):
            assert numbers.setdefault(i, number) == number
    assert sorted(numbers.values()) == list(range(1, count + 1))


@pytest.mark.parametrize("step", [4, 10, 14])
def test_two_faces_that_cross_keep_their_numbers(step):
    """Half way, each has the position of the other: by position alone, the numbers would be swapped."""
    tracker = BoxTracker()
    for index in range(-20, 21):
        x = step * (index + 0.5)
        assert tracker.update([face(x, 100), face(-x, 103)]) == [1, 2]


def test_an_occluded_face_keeps_its_number():
    tracker, seen = BoxTracker(), []
    for index in range(-20, 21):
        front, behind = face(5 * index), face(-5 * index, 104)
        hidden = abs(index) <= 4
        seen.append(tracker.update([front] if hidden else [front, behind]))
    assert {tuple(numbers) for numbers in seen} == {(1, 2), (1,)}


@pytest.mark.parametrize(("gap", "number"), [(0, 1), (30, 1), (31, 2)])
def test_a_face_that_returns_within_the_gap_keeps_its_number(gap, number):
    tracker = BoxTracker()
    assert tracker.update([face(10)]) == [1]
    for _ in range(gap):
        assert tracker.update([]) == []
    assert tracker.update([face(12)]) == [number]


def test_numbers_are_never_reused():
    tracker, seen = BoxTracker(), []
    for index in range(6):
        seen += tracker.update([face(1000 * index)])
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_new_face_beside_a_known_one_gets_the_next_number():
    tracker = BoxTracker()
    assert tracker.update([face(0)]) == [1]
    assert tracker.update([face(200), face(1)]) == [2, 1]
    tracker.forget()
    assert tracker.update([face(200), face(1)]) == [3, 4]


def test_a_face_without_area():
    tracker = BoxTracker()
    assert tracker.update([face(0, side=0.0)]) == [1]
    assert tracker.update([face(0, side=0.0)]) == [2]
