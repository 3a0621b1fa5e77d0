"""Split roles, manifests and the validation carve-out."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.cache import CacheKey, cached
from fer.data.dataset import EmotionData
from fer.data.splits import carve_validation, hide_test_labels, indices, manifest

NAMES = ("Training", "PublicTest", "PrivateTest")
ROLES = dict(zip(("train", "val", "test"), NAMES, strict=True))


def make_data(
    num: int = 60, num_different: int | None = None, seed: int = 0, **changes: object
) -> EmotionData:
    """Return data with mixed splits; with ``num_different`` distinct images, the others are copies."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (num_different or num, 4, 4, 1), dtype=np.uint8)
    data = EmotionData(
        images=images[rng.integers(0, num_different, num)] if num_different else images,
        targets=rng.integers(0, 7, num),
        split=rng.integers(0, 3, num).astype(np.uint8),
        split_names=NAMES,
        roles=dict(ROLES),
        labels=FER7,
        source="a.csv",
    )
    return replace(data, **changes)


def make_train(num: int = 400, num_different: int | None = None, seed: int = 0) -> EmotionData:
    """Return data with only a train and a test split."""
    roles = {"train": "Training", "test": "PrivateTest"}
    split = np.where(np.arange(num) % 5 == 4, 2, 0).astype(np.uint8)
    return make_data(num, num_different, seed, split=split, roles=roles)


def test_indices_are_a_partition():
    data = make_data()
    parts = {role: indices(data, role) for role in ROLES}
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(60))
    for role, positions in parts.items():
        assert {data.split_names[i] for i in data.split[positions]} == {ROLES[role]}
        assert (np.diff(positions) > 0).all()


def test_error_for_a_missing_split_lists_the_available_ones():
    data = make_data(
        split=np.array([0] * 50 + [1] * 10, np.uint8), roles={"train": NAMES[0], "val": NAMES[1]}
    )
    message = (
        r"a\.csv: expected a test split, got train \(Training, 50 images\), val \(PublicTest, 10 images\)"
    )
    with pytest.raises(FerError, match=message):
        indices(data, "test")


def test_error_for_an_unknown_role_lists_the_known_ones():
    with pytest.raises(FerError, match=r"\(train, val, test\), got 'tests'. Did you mean 'test'"):
        indices(make_data(), "tests")


def test_hiding_changes_only_test_labels():
    data = make_data()
    hidden = hide_test_labels(data)
    is_test = data.split == 2
    assert (hidden.targets[is_test] == -1).all()
    np.testing.assert_array_equal(hidden.targets[~is_test], data.targets[~is_test])
    assert (data.targets >= 0).all()
    assert hidden.images is data.images


def with_votes(data):
    votes = np.random.default_rng(1).random((len(data), 7)).astype(np.float32)
    return replace(data, votes=votes / votes.sum(1, keepdims=True))


def test_hiding_changes_only_test_votes():
    data = with_votes(make_data())
    hidden = hide_test_labels(data)
    is_test = data.split == 2
    assert (hidden.votes[is_test] == 0).all()
    np.testing.assert_array_equal(hidden.votes[~is_test], data.votes[~is_test])
    assert (data.votes.sum(1) > 0).all()


def test_manifest_hashes_votes_outside_the_test_split():
    data = with_votes(make_data())
    splits = manifest(data)["splits"]
    for role, number in (("train", 0), ("val", 1)):
        expected = hashlib.sha256(data.votes[data.split == number].tobytes()).hexdigest()
        assert splits[role].pop("votes_sha256") == expected
    assert splits == manifest(replace(data, votes=None))["splits"]
    complete = manifest(data, hide_test_labels=False)["splits"]["test"]
    assert complete["votes_sha256"] == hashlib.sha256(data.votes[data.split == 2].tobytes()).hexdigest()


def test_manifest_counts_dropped_images():
    assert manifest(make_data(dropped={"no majority": 3}))["dropped"] == {"no majority": 3}
    assert "dropped" not in manifest(make_data())


@pytest.mark.parametrize("votes", [True, False])
def test_take_selects_rows_of_all_arrays(votes):
    data = with_votes(make_data()) if votes else make_data()
    rows = np.array([7, 3, 11])
    taken = data.take(rows)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(taken.images[i], data.images[row])
        assert (taken.targets[i], taken.split[i]) == (data.targets[row], data.split[row])
    assert taken.votes is None if not votes else (taken.votes == data.votes[rows]).all()


def test_hiding_without_a_test_split_returns_the_same_data():
    data = make_data(roles={"train": "Training"})
    assert hide_test_labels(data) is data


def test_manifest_against_manual_results():
    data = make_data()
    entry = json.loads(json.dumps(manifest(data)))
    assert entry["image_shape"] == [4, 4, 1]
    assert entry["label_space"] == {"name": "fer7", "names": list(FER7.names)}
    is_val = data.split == 1
    assert entry["splits"]["val"] == {
        "split": "PublicTest",
        "count": int(is_val.sum()),
        "class_counts": {name: int((data.targets[is_val] == i).sum()) for i, name in enumerate(FER7.names)},
        "pixels_sha256": hashlib.sha256(data.images[is_val].tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(data.targets[is_val].tobytes()).hexdigest(),
    }


def test_manifest_contains_test_labels_only_on_request():
    data = make_data()
    assert set(manifest(data)["splits"]["test"]) == {"split", "count", "pixels_sha256"}
    assert manifest(hide_test_labels(data)) == manifest(data)
    permuted = replace(data, targets=np.where(data.split == 2, (data.targets + 1) % 7, data.targets))
    assert manifest(permuted) == manifest(data)
    complete = manifest(data, hide_test_labels=False)["splits"]["test"]
    assert sum(complete["class_counts"].values()) == complete["count"]
    assert (
        manifest(permuted, hide_test_labels=False)["splits"]["test"]["labels_sha256"]
        != complete["labels_sha256"]
    )


def test_manifest_does_not_count_hidden_labels():
    entry = manifest(hide_test_labels(make_data()), hide_test_labels=False)
    assert set(entry["splits"]["test"]) == {"split", "count", "pixels_sha256"}


def test_manifest_has_only_the_roles_of_the_data():
    assert set(manifest(make_data(roles={"train": "Training"}))["splits"]) == {"train"}


@pytest.mark.parametrize("role", ROLES)
def test_one_changed_pixel_changes_one_hash(role):
    data = make_data(700)
    images = data.images.copy()
    images[indices(data, role)[-1], 3, 3, 0] ^= 1
    before, after = manifest(data)["splits"], manifest(replace(data, images=images))["splits"]
    changed = [r for r in ROLES if before[r]["pixels_sha256"] != after[r]["pixels_sha256"]]
    assert changed == [role]
    assert before[role].get("labels_sha256") == after[role].get("labels_sha256")


def test_manifest_does_not_depend_on_storage(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    data = make_data()
    mapped = cached(CacheKey("a", "1"), lambda: data)
    converted = replace(data, images=np.asfortranarray(data.images), targets=data.targets.astype(">i8"))
    assert manifest(mapped) == manifest(converted) == manifest(data)


@settings(max_examples=60, deadline=None)
@given(
    num_different=st.none() | st.integers(60, 300),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 5),
)
def test_carve_out_is_stratified_and_keeps_copies_together(num_different, fraction, seed):
    data = make_train(400, num_different, seed)
    carved = carve_validation(data, fraction, seed)
    train, val = indices(carved, "train"), indices(carved, "val")
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), indices(data, "train"))
    np.testing.assert_array_equal(indices(carved, "test"), indices(data, "test"))
    assert not {data.images[i].tobytes() for i in train} & {data.images[i].tobytes() for i in val}
    assert set(data.targets[train]) == set(data.targets)
    if num_different is None:
        counts = np.bincount(data.targets[indices(data, "train")])
        expected = [max(1, round(fraction * count)) for count in counts]
        assert np.bincount(data.targets[val]).tolist() == expected


def test_carve_out_depends_on_the_seed_and_not_on_the_order():
    data = make_train()
    order = np.random.default_rng(1).permutation(len(data))
    shuffled = replace(data, images=data.images[order], targets=data.targets[order], split=data.split[order])

    def chosen(some: EmotionData, seed: int) -> set[bytes]:
        carved = carve_validation(some, 0.2, seed)
        return {carved.images[i].tobytes() for i in indices(carved, "val")}

    assert chosen(data, 0) == chosen(data, 0) == chosen(shuffled, 0)
    assert len(chosen(data, 0) & chosen(data, 1)) < 0.5 * len(chosen(data, 0))


def test_carve_out_is_named_and_does_not_change_its_input():
    data = make_train()
    carved = carve_validation(data, 0.1, 3)
    assert carved.roles["val"] == "Training carve-out (fraction 0.1, seed 3)"
    assert manifest(carved)["splits"]["val"]["split"] == carved.roles["val"]
    assert "val" not in data.roles
    assert set(data.split) == {0, 2}


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_carve_out_takes_one_and_leaves_one_of_a_rare_emotion(fraction):
    data = make_train()
    targets = np.where(role_mask(data, "train"), 3, 0)
    targets[:2] = 5
    carved = carve_validation(replace(data, targets=targets), fraction, 0)
    for role in ("train", "val"):
        assert (targets[indices(carved, role)] == 5).sum() == 1


def role_mask(data: EmotionData, role: str) -> np.ndarray:
    return np.isin(np.arange(len(data)), indices(data, role))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10, float("nan")])
def test_carve_out_rejects_invalid_fractions(fraction):
    with pytest.raises(FerError, match="fraction between 0 and 1"):
        carve_validation(make_train(), fraction, 0)


def test_carve_out_rejects_copies_of_one_image():
    data = make_train()
    with pytest.raises(FerError, match="expected enough distinct images"):
        carve_validation(replace(data, images=np.zeros_like(data.images)), 0.1, 0)
