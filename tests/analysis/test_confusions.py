import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from fer.analysis.confusions import confused_pairs, section
from fer.analysis.count_scores import confusion_counts
from fer.analysis.predictions import Predictions
from fer.labels import FER7

NAMES = FER7.names


def predictions_of(target, probs, votes=None, role="val") -> Predictions:
    index = np.arange(100, 100 + len(target))
    source = np.array([f"row {i}" for i in index])
    logits = np.log(np.maximum(probs, 1e-9)).astype(np.float32)
    about = {"role": role}
    return Predictions(
        FER7, index, np.asarray(target), logits, probs.astype(np.float32), votes, source, about
    )


@pytest.fixture(scope="module")
def noisy() -> Predictions:
    rng = np.random.default_rng(0)
    return predictions_of(rng.integers(0, 7, 400), rng.dirichlet(np.full(7, 0.5), 400))


def test_counts_are_sklearns(noisy):
    found = confusion_counts(noisy.target, noisy.preds, 7)
    assert np.array_equal(found, confusion_matrix(noisy.target, noisy.preds, labels=range(7)))


def test_counts_of_classes_that_are_not_there():
    assert confusion_counts(np.array([2]), np.array([0]), 3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_pairs_are_those_of_a_loop_over_the_images(noisy):
    cells: dict[tuple[int, int], list[int]] = {}
    for row in range(len(noisy)):
        true, said = int(noisy.target[row]), int(np.argmax(noisy.probs[row]))
        if true != said:
            cells.setdefault((true, said), []).append(row)
    largest = sorted(cells, key=lambda cell: (-len(cells[cell]), cell))[:4]
    found = confused_pairs(noisy, 4)
    assert [(pair.true, pair.said) for pair in found] == largest
    for pair in found:
        rows = cells[pair.true, pair.said]
        assert pair.rows.tolist() == sorted(rows, key=lambda row: -noisy.probs[row, pair.said])
        assert pair.support == int((noisy.target == pair.true).sum())
        assert pair.errors == sum(map(len, cells.values()))


def test_section_tells_counts_shares_and_examples(noisy):
    chapter, first = section(noisy), confused_pairs(noisy, 1)[0]
    told = chapter.numbers["pairs"][0]
    assert told["count"] == len(first)
    assert told["share_of_true"].value == pytest.approx(len(first) / first.support)
    assert told["share_of_errors"] == pytest.approx(len(first) / first.errors)
    assert told["examples"].tolist() == (first.rows[:5] + 100).tolist()
    assert f"row {first.rows[0] + 100}" in chapter.tables[0].rows[0][-1]
    assert f"{len(first)} of {first.support} images of {NAMES[first.true]}" in chapter.words[0]
    assert [picture.png[:4] for picture in chapter.pictures] == [b"\x89PNG"] * 2


def test_section_without_an_error():
    chapter = section(predictions_of(np.arange(7), np.eye(7)))
    assert chapter.words == ["There is no error in this split."]
    assert chapter.tables[0].rows == []
