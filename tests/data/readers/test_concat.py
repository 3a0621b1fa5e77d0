"""Concatenation of datasets without duplicates across splits."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.core.labels import AFFECTNET8, FER7, FERPLUS8, RAFDB7, LabelSpace
from fer.data.dataset import EmotionData, source_counts
from fer.data.readers.concat import concatenate
from fer.data.readers.factory import read_dataset
from fer.data.splits import carve_validation, indices

ROLES = ("train", "val", "test")


def make(split, targets=None, labels=FER7, seed=0, size=6, channels=1, image_ids=None, votes=None):
    """Return a source with splits named t, v, e; equal ``image_ids`` are equal images."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 256, (64, size, size, channels), dtype=np.uint8)
    num = len(split)
    return EmotionData(
        images=pool[np.arange(num) if image_ids is None else image_ids],
        targets=np.arange(num) % len(labels) if targets is None else np.array(targets),
        split=np.array(["tve".index(letter) for letter in split], dtype=np.uint8),
        split_names=("t", "v", "e"),
        roles={role: letter for role, letter in zip(ROLES, "tve", strict=True) if letter in split},
        labels=labels,
        source=f"source {seed}",
        votes=votes,
    )


def concatenate_sources(*parts, labels=FER7, size=6, color=False, val_from=None):
    return concatenate({"abcd"[i]: part for i, part in enumerate(parts)}, labels, size, color, val_from)


def pixels(data, role):
    return [data.images[i].tobytes() for i in indices(data, role)] if role in data.roles else []


def test_splits_are_unions_and_named_after_their_sources():
    a, b = make("ttvve", seed=1), make("ttte", seed=2)
    data = concatenate_sources(a, b)
    assert data.roles == {"train": "a t + b t", "val": "a v", "test": "a e + b e"}
    assert [len(indices(data, role)) for role in ROLES] == [5, 2, 2]
    np.testing.assert_array_equal(data.images, np.concatenate([a.images, b.images]))
    np.testing.assert_array_equal(data.targets, np.concatenate([a.targets, b.targets]))
    assert (data.dropped, data.votes, data.source) == ({}, None, "source 1 + source 2")


@settings(max_examples=50, deadline=None)
@given(spaces=st.tuples(*[st.sampled_from([FER7, FERPLUS8, AFFECTNET8, RAFDB7])] * 3))
def test_every_image_keeps_its_emotion(spaces):
    first, second, target = spaces
    parts = [make("t" * 16, labels=space, seed=seed) for seed, space in enumerate((first, second))]
    data = concatenate_sources(*parts, labels=target)
    emotion = {
        image.tobytes(): part.labels.names[number]
        for part in parts
        for image, number in zip(part.images, part.targets, strict=True)
    }
    got = {
        image.tobytes(): target.names[number] for image, number in zip(data.images, data.targets, strict=True)
    }
    assert got == {image: name for image, name in emotion.items() if name in target.names}
    assert sum(data.dropped.values()) == 32 - len(data)


def test_emotions_that_the_label_space_lacks_are_dropped():
    data = concatenate_sources(make("tvetv", [7, 7, 7, 0, 1], FERPLUS8))
    assert [data.labels.names[i] for i in data.targets] == ["neutral", "happy"]
    # Labels of the test split are not counted.
    assert data.dropped == {"a: contempt is not in fer7": 2}
    assert set(data.roles) == {"train", "val"}


def test_dropped_counts_of_the_readers_are_passed_on():
    part = replace(make("ttv"), dropped={"no majority": 3})
    assert concatenate_sources(make("tv", seed=1), part).dropped == {"b: no majority": 3}


def test_votes_are_mapped_and_renormalized():
    votes = np.array([[0.5, 0, 0, 0.25, 0, 0, 0, 0.25], [0, 1, 0, 0, 0, 0, 0, 0]], np.float32)
    data = concatenate_sources(make("tv", [0, 1], FERPLUS8, votes=votes))
    assert data.votes.dtype == np.float32
    sad, neutral, happy = (FER7.index(name) for name in ("sad", "neutral", "happy"))
    expected = np.zeros((2, 7))
    expected[0, [neutral, sad]] = 2 / 3, 1 / 3
    expected[1, happy] = 1
    np.testing.assert_allclose(data.votes, expected, atol=1e-6)


def test_images_of_a_source_without_votes_have_none():
    votes = np.full((3, 7), 1 / 7, np.float32)
    with_votes, without = make("ttv", votes=votes), make("ttv", seed=1)
    np.testing.assert_array_equal(
        concatenate_sources(with_votes, without).votes, np.concatenate([votes, np.zeros((3, 7))])
    )
    assert concatenate_sources(without, make("ttv", seed=2)).votes is None


def test_sources_of_the_images_that_are_left():
    one, two = make("ttv"), make("tv", seed=1)
    data = concatenate_sources(one, two, make("t", seed=2))
    assert data.source_names == ("a", "b", "c")
    assert data.source_numbers.tolist() == [0, 0, 0, 1, 1, 2]
    assert data.take(data.source_numbers > 0).source_numbers.tolist() == [1, 1, 2]
    assert source_counts(data, np.arange(6)) == [
        np.bincount(part.targets, minlength=7).tolist() for part in (one, two, make("t", seed=2))
    ]


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [6, 12, 9])
def test_images_have_one_size_and_number_of_channels(color, channels, size):
    part = make("ttv", size=9, channels=channels)
    data = concatenate_sources(part, size=size, color=color)
    assert data.images.shape == (3, size, size, 3 if color else 1)
    assert data.images.dtype == np.uint8
    gray = part.images[0, ..., 0] if channels == 1 else cv2.cvtColor(part.images[0], cv2.COLOR_RGB2GRAY)
    if size == 9:
        result = data.images[0, ..., 0] if not color else cv2.cvtColor(data.images[0], cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(result, gray)
    assert abs(data.images.mean() - part.images.mean()) < 8


def test_the_order_of_color_channels_is_unchanged():
    part = make("tv", channels=3)
    np.testing.assert_array_equal(concatenate_sources(part, color=True).images, part.images)


def expected_rows(rows, val_from):
    """Apply the rules to (source, role, image id), one image at a time."""
    rows = [row for row in rows if row[1] != "v" or val_from is None or row[0] == val_from - 1]

    def remains(source, role, image_id):
        copies = [(s, r) for s, r, i in rows if i == image_id]
        if role == "t":
            return not any(r in "ve" for _, r in copies)
        in_earlier_source = any(s < source and r == role for s, r in copies)
        in_other_test = role == "v" and any(s != source and r == "e" for s, r in copies)
        return not in_earlier_source and not in_other_test

    return [row for row in rows if remains(*row)]


SOURCE = st.lists(st.tuples(st.sampled_from("tve"), st.integers(0, 8)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(sources=st.lists(SOURCE, min_size=1, max_size=3), val_from=st.sampled_from([None, 1]))
def test_no_image_is_in_two_splits(sources, val_from):
    """All sources use the same nine images."""
    parts = [make([r for r, _ in part], image_ids=[i for _, i in part]) for part in sources]
    rows = [(i, *row) for i, part in enumerate(sources) for row in part]
    data = concatenate_sources(*parts, val_from=val_from)
    pool = make("t" * 9).images
    expected = [(role, pool[image_id].tobytes()) for _, role, image_id in expected_rows(rows, val_from)]
    assert [("tve"[i], image.tobytes()) for i, image in zip(data.split, data.images, strict=True)] == expected
    train, val, test = (set(pixels(data, role)) for role in ROLES)
    assert not train & (val | test)
    assert len(data) + sum(data.dropped.values()) == len(rows)


def test_the_same_images_with_different_labels():
    """As in FER2013 and FER+: the same images with other labels, one of them in train and val of a source."""
    first = make("tttvv", [0, 1, 2, 3, 4], image_ids=[0, 1, 2, 3, 2])
    second = make("tttvv", [6, 6, 6, 6, 6], image_ids=[0, 1, 2, 3, 4])
    data = concatenate_sources(first, second)
    assert data.targets.tolist() == [0, 1, 3, 4, 6, 6, 6]
    assert data.dropped == {
        "train: copies of validation or test images": 2,
        "val: copies of other sources' test or earlier sources' validation images": 1,
    }


@pytest.mark.parametrize("val_from", ["b", 2, "2"])
def test_only_one_source_validates(val_from):
    data = concatenate_sources(make("ttvv", seed=1), make("ttv", seed=2), val_from=val_from)
    assert data.roles["val"] == "b v"
    assert len(indices(data, "val")) == 1
    assert data.dropped == {"a: validation images, val_from being another source": 2}
    assert len(indices(data, "train")) == 4


@pytest.mark.parametrize("val_from", ["fer2014", 0, 3])
def test_unknown_val_from_names_the_sources(val_from):
    with pytest.raises(FerError, match=r"val_from: expected a source by name or number \(1 a, 2 b\), got"):
        concatenate_sources(make("tv"), make("tv", seed=1), val_from=val_from)


def test_a_source_on_disk_is_an_error():
    class Files:
        shape = (2, 6, 6, 1)

        def __len__(self):
            return 2

        def subset(self, rows):
            return self

        def __getitem__(self, rows):
            raise AssertionError("an image was decoded")

    with pytest.raises(FerError, match="source 0: expected a source that fits into memory"):
        concatenate_sources(replace(make("tv"), images=Files()))


def test_near_duplicates_between_sources_do_not_leak():
    """The second source has the training images of the first, saved as JPEG and partly in validation."""
    rendered = read_dataset(synthetic(num_train=40, size=48, difficulty=0.5))
    original = replace(rendered.take(indices(rendered, "train")), roles={"train": "train"})
    saved = np.stack(
        [
            cv2.imdecode(cv2.imencode(".jpg", face)[1], cv2.IMREAD_GRAYSCALE)[..., None]
            for face in original.images
        ]
    )
    other = carve_validation(replace(original, images=saved, source="saved"), 0.2, 0)
    data = concatenate({"original": original, "saved": other}, FER7, 48, False)
    val = data.images[indices(data, "val")].astype(int)
    train = data.images[indices(data, "train")].astype(int)
    assert len(val) >= 7
    nearest = [np.abs(train - face).mean(axis=(1, 2, 3)).min() for face in val]
    assert min(nearest) > np.abs(saved.astype(int) - original.images).mean(axis=(1, 2, 3)).max()


def test_custom_label_space():
    space = LabelSpace("mood", ("happy", "sad"))
    data = concatenate_sources(make("t" * 14), labels=space)
    assert len(data) == 4
    assert data.labels is space


def synthetic(seed=0, **changes):
    sizes = {"num_train": 14, "num_val": 7, "num_test": 7, "size": 24, "color": False, "difficulty": 1.0}
    return {"name": "synthetic", "seed": seed, **sizes, **changes}


def concat(*sources, **changes):
    options = {"labels": "fer7", "size": 24, "color": False, "val_from": None, **changes}
    return {"name": "concat", "sources": list(sources), **options}


def test_sources_with_the_same_name_are_numbered():
    data = read_dataset(concat(synthetic(), synthetic(1, size=32, color=True)))
    assert data.roles["train"] == "synthetic_1 train + synthetic_2 train"
    assert data.images.shape[1:] == (24, 24, 1)
    assert len(data) + sum(data.dropped.values()) == 56


def test_an_unknown_label_space_is_an_error():
    with pytest.raises(FerError, match=r"datamodule\.labels: .*got 'fer8'. Did you mean 'fer7'"):
        read_dataset(concat(synthetic(), labels="fer8"))
