"""Matching of the images of two prediction tables."""

from dataclasses import replace

import numpy as np
import pytest

from fer.analysis.about import About
from fer.analysis.metrics.matching import match_images
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import FER7, FERPLUS8, LabelSpace


def table(space, target, keys, name="run", data="a.csv", seed=0):
    """Return predictions with random probabilities, and the keys of their images."""
    probs = np.random.default_rng(seed).dirichlet(np.ones(len(space)), len(target)).astype(np.float32)
    manifest = {"pixels_sha256": "".join(keys), "label_space": {"name": space.name}}
    about = About(run=name, data=data, manifest=manifest)
    index = np.arange(len(target))
    predictions = Predictions(
        space, index, np.array(target), np.log(probs), probs, None, index.astype(str), about
    )
    return predictions, np.array(list(keys))


def test_images_are_matched_by_key():
    one, keys_one = table(FER7, [0, 1, 2, 3], "abcd")
    two, keys_two = table(FER7, [3, 1], "db")
    (matched,) = match_images([one, two], [keys_one, keys_two])
    assert matched.target.tolist() == [3, 1]
    assert (matched.probs[0] == one.probs[[3, 1]]).all()
    assert (matched.probs[1] == two.probs).all()
    assert "4" in matched.notes[0]


def test_first_of_duplicate_images_is_used():
    one, keys_one = table(FER7, [0, 1, 2], "aab")
    two, keys_two = table(FER7, [0, 2], "ab")
    (matched,) = match_images([one, two], [keys_one, keys_two])
    assert (matched.probs[0] == one.probs[[0, 2]]).all()


def test_each_set_of_labels_is_matched_separately():
    """FER+ labels are surprise for fear of FER2013, and contempt for angry."""
    fer = [FER7.index(name) for name in ("happy", "fear", "angry", "sad")]
    plus = [FERPLUS8.index(name) for name in ("happy", "surprise", "contempt", "sad")]
    one, keys = table(FER7, fer, "abcd", data="/data/fer2013.csv")
    two, _ = table(FERPLUS8, plus, "abcd", data="/data/fer2013.csv with fer2013new.csv")
    first, second = match_images([one, two], [keys, keys])
    assert [FER7.names[i] for i in first.target] == ["happy", "fear", "sad"]
    assert [FER7.names[i] for i in second.target] == ["happy", "surprise", "sad"]
    assert first.name == "fer2013.csv (fer7)"
    assert second.name == "fer2013.csv with fer2013new.csv (ferplus8)"
    contempt = two.probs[[0, 1, 3], FERPLUS8.index("contempt")]
    for i, name in enumerate(FER7.names):
        expected = two.probs[[0, 1, 3], FERPLUS8.index(name)] / (1 - contempt)
        assert first.probs[1][:, i] == pytest.approx(expected, rel=1e-5)


def test_nothing_in_common_is_an_error():
    happy_sad = LabelSpace("two", ("happy", "sad"))
    fear_angry = LabelSpace("others", ("fear", "angry"))
    (one, keys), (two, _) = table(happy_sad, [0, 1], "ab"), table(fear_angry, [0, 1], "ab")
    with pytest.raises(FerError, match="at least 2 emotions in common, got 0"):
        match_images([one, two], [keys, keys])
    with pytest.raises(FerError, match="1 are in both"):
        match_images([one, one], [keys, np.array(["a", "z"])])


def trained_with(merge, predictions):
    return replace(predictions, about=replace(predictions.about, trained_on={"emotions": {"merge": merge}}))


NEGATIVE = {"negative": ["angry", "disgust", "fear", "sad"]}
MERGED = LabelSpace("fer7-merged", ("negative", "happy", "surprise", "neutral"))


def test_single_emotions_are_added_up_where_another_model_merges_them():
    one, _ = table(FER7, [0, 3, 4, 5, 2], "abcde", "plain")
    two = trained_with(NEGATIVE, table(MERGED, [0, 1, 0, 2, 0], "abcde", "coarse", seed=1)[0])
    for first, second in ((one, two), (two, one)):
        (matched,) = match_images([first, second])
        assert set(matched.labels.names) == set(MERGED.names)
        assert [matched.labels.names[i] for i in matched.target] == [
            "negative", "happy", "negative", "surprise", "negative",
        ]  # fmt: skip
        plain = matched.probs[0 if first is one else 1]
        negative = one.probs[:, [0, 1, 2, 4]].sum(1)
        np.testing.assert_allclose(plain[:, matched.labels.index("negative")], negative, rtol=1e-6)
        np.testing.assert_allclose(plain.sum(1), 1, rtol=1e-5)
        assert matched.notes == ["plain: negative is the sum of angry, disgust, fear, sad."]


def test_one_name_for_different_emotions_is_an_error():
    one = trained_with(NEGATIVE, table(MERGED, [0, 1], "ab", "one")[0])
    other = {"negative": ["angry", "sad"]}
    two = trained_with(other, table(MERGED, [0, 1], "ab", "two", seed=1)[0])
    with pytest.raises(FerError, match=r"one meaning of negative, got angry \+ disgust .* in one and angry"):
        match_images([one, two])


def test_an_emotion_that_a_model_merges_otherwise_is_not_common():
    space = LabelSpace("fer7-merged", ("low", "angry", "happy", "neutral"))
    one = trained_with(NEGATIVE, table(MERGED, [0, 1, 3], "abc", "one")[0])
    two = trained_with({"low": ["fear", "sad"]}, table(space, [0, 2, 3], "abc", "two", seed=1)[0])
    (matched,) = match_images([one, two])
    assert matched.labels.names == ("happy", "neutral")
    assert len(matched.target) == 2
