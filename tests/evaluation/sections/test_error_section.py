import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from fer.analysis.about import About
from fer.analysis.metrics.classification import confusion_counts
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.evaluation.sections.errors import confused_pairs, confusions_section

NAMES = FER7.names


def predictions_of(target, probs, votes=None, role="val") -> Predictions:
    index = np.arange(100, 100 + len(target))
    source = np.array([f"row {i}" for i in index])
    logits = np.log(np.maximum(probs, 1e-9)).astype(np.float32)
    about = About(role=role)
    return Predictions(
        FER7, index, np.asarray(target), logits, probs.astype(np.float32), votes, source, about
    )


@pytest.fixture(scope="module")
def noisy() -> Predictions:
    rng = np.random.default_rng(0)
    return predictions_of(rng.integers(0, 7, 400), rng.dirichlet(np.full(7, 0.5), 400))


def test_counts_match_sklearn(noisy):
    counts = confusion_counts(noisy.target, noisy.preds, 7)
    assert np.array_equal(counts, confusion_matrix(noisy.target, noisy.preds, labels=range(7)))


def test_counts_of_absent_classes():
    assert confusion_counts(np.array([2]), np.array([0]), 3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_pairs_match_a_loop_over_the_images(noisy):
    cells: dict[tuple[int, int], list[int]] = {}
    for row in range(len(noisy)):
        true, predicted = int(noisy.target[row]), int(np.argmax(noisy.probs[row]))
        if true != predicted:
            cells.setdefault((true, predicted), []).append(row)
    largest = sorted(cells, key=lambda cell: (-len(cells[cell]), cell))[:4]
    pairs = confused_pairs(noisy, 4)
    assert [(pair.true, pair.predicted) for pair in pairs] == largest
    for pair in pairs:
        rows = cells[pair.true, pair.predicted]
        assert pair.rows.tolist() == sorted(rows, key=lambda row: -noisy.probs[row, pair.predicted])
        assert pair.support == int((noisy.target == pair.true).sum())
        assert pair.errors == sum(map(len, cells.values()))


def test_section_has_counts_proportions_and_examples(noisy):
    report_section, first = confusions_section(noisy), confused_pairs(noisy, 1)[0]
    numbers = report_section.numbers["pairs"][0]
    assert numbers["count"] == len(first)
    assert numbers["share_of_true"].value == pytest.approx(len(first) / first.support)
    assert numbers["share_of_errors"] == pytest.approx(len(first) / first.errors)
    assert numbers["examples"].tolist() == (first.rows[:5] + 100).tolist()
    assert f"row {first.rows[0] + 100}" in report_section.tables[0].rows[0][-1]
    assert f"{len(first)} of {first.support} images of {NAMES[first.true]}" in report_section.paragraphs[0]
    assert [plot.png[:4] for plot in report_section.plots] == [b"\x89PNG"] * 2


def test_section_without_errors():
    report_section = confusions_section(predictions_of(np.arange(7), np.eye(7)))
    assert report_section.paragraphs == ["There are no errors in this split."]
    assert report_section.tables[0].rows == []
