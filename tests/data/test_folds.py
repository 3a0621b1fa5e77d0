"""Folds of the training split."""

import numpy as np
import pytest

from fer.core.errors import FerError
from fer.data.config import DataConfig
from fer.data.folds import assign_folds, hold_out, parse_fold
from fer.data.readers.factory import read_dataset
from fer.data.splits import indices, manifest

SIZES = {"name": "synthetic", "num_train": 350, "num_val": 35, "num_test": 7}


def read(**more):
    return read_dataset(DataConfig.create({**SIZES, **more}, 48))


@pytest.fixture(scope="module")
def data():
    return read()


def test_folds_are_a_partition_of_about_equal_parts(data):
    rows = indices(data, "train")
    folds = assign_folds(data, rows, 5)
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    assert np.bincount(folds).min() > 40


def test_each_image_is_held_out_once(data):
    train = set(indices(data, "train").tolist())
    held_out = [train - set(indices(read(fold=f"{number}/5"), "train").tolist()) for number in range(5)]
    assert set().union(*held_out) == train
    assert sum(map(len, held_out)) == len(train)


def test_rows_validation_and_test_images_stay(data):
    held_out = read(fold="1/5")
    assert len(held_out) == len(data)
    for role in ("val", "test"):
        np.testing.assert_array_equal(indices(held_out, role), indices(data, role))
    splits = [manifest(one)["splits"]["train"] for one in (data, held_out)]
    assert splits[0]["pixels_sha256"] != splits[1]["pixels_sha256"]


def test_a_fold_depends_only_on_the_content(data):
    rows = np.random.default_rng(0).permutation(len(data))
    shuffled = data.take(rows)
    everything = np.arange(len(data))
    np.testing.assert_array_equal(
        assign_folds(shuffled, everything, 4), assign_folds(data, everything, 4)[rows]
    )


def test_copies_and_images_of_one_person_are_in_one_fold(data):
    from dataclasses import replace

    images = np.repeat(data.images[:20], 2, axis=0)
    twice = data.take(np.arange(40))
    folds = assign_folds(replace(twice, images=images), np.arange(40), 5)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    people = np.array([f"person {row // 8}" for row in range(40)])
    grouped = assign_folds(replace(twice, groups=people), np.arange(40), 5)
    assert all(len(set(grouped[people == person])) == 1 for person in people)


@pytest.mark.parametrize("fold", ["5/5", "0/1", "1", "a/5", "-1/5", "0/5/1", ""])
def test_wrong_folds_are_refused(fold):
    with pytest.raises(FerError, match="expected NUMBER/FOLDS"):
        parse_fold(fold)


def test_more_folds_than_images_of_an_emotion_are_refused(data):
    with pytest.raises(FerError, match="Use fewer folds"):
        hold_out(data, "0/2000")
