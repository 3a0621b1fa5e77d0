import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from fer.analysis.about import About
from fer.analysis.metrics.label_errors import (
    estimate_label_noise,
    find_label_errors,
    outvoted_proportion,
)
from fer.analysis.predictions import Predictions
from fer.core.labels import FER7
from fer.evaluation.sections.label_errors import label_errors_section


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def data_with_label_errors(n: int = 4000, noise: float = 0.1, seed: int = 0):
    """Return true classes, labels with errors, probabilities of a model, and which labels are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, n)
    changed = rng.random(n) < noise
    target = np.where(changed, (truth + rng.integers(1, 7, n)) % 7, truth)
    return truth, target, softmax(rng.normal(0, 1, (n, 7)) + 3.0 * np.eye(7)[truth]), changed


def by_loops(target, probs):
    """Return joint and candidates of confident learning as in the paper, image by image."""
    num_classes = probs.shape[1]
    thresholds = [np.mean([p[j] for p, y in zip(probs, target, strict=True) if y == j] or [np.inf])
                  for j in range(num_classes)]  # fmt: skip
    joint, candidates = np.zeros((num_classes, num_classes), int), {}
    for row, (p, label) in enumerate(zip(probs, target, strict=True)):
        above = [j for j in range(num_classes) if p[j] >= thresholds[j]]
        if above:
            counted = max(above, key=lambda j: p[j])
            joint[label, counted] += 1
            if counted != label:
                candidates[row] = p[label] - max(p[j] for j in range(num_classes) if j != label)
    return joint, sorted(candidates, key=lambda row: candidates[row])


def test_matches_the_paper_in_plain_loops():
    _, target, probs, _ = data_with_label_errors(500)
    joint, candidates = by_loops(target, probs)
    errors = find_label_errors(target, probs)
    assert np.array_equal(errors.joint, joint)
    assert errors.rows.tolist() == candidates
    others = np.where(np.eye(7, dtype=bool)[target], -np.inf, probs).max(1)
    assert errors.margins == pytest.approx((probs[np.arange(500), target] - others)[errors.rows])
    assert (errors.likely != target[errors.rows]).all()


def test_finds_known_label_errors():
    truth, target, probs, changed = data_with_label_errors()
    errors = find_label_errors(target, probs)
    assert changed[errors.rows[:100]].mean() >= 0.98
    assert changed[errors.rows].mean() >= 0.6
    assert np.isin(np.flatnonzero(changed), errors.rows).mean() >= 0.6
    assert (errors.likely == truth[errors.rows])[:100].mean() >= 0.95
    assert estimate_label_noise(errors, target) == pytest.approx(changed.mean(), abs=0.05)


def test_no_candidates_where_model_and_labels_agree():
    target = np.arange(70) % 7
    errors = find_label_errors(target, 0.9 * np.eye(7)[target] + 0.1 / 7)
    assert len(errors) == 0
    assert estimate_label_noise(errors, target) == 0.0


def test_a_class_without_images_is_never_the_likely_label():
    _, target, probs, _ = data_with_label_errors(600)
    rows = target != 1
    errors = find_label_errors(target[rows], probs[rows])
    assert 1 not in errors.likely
    assert errors.thresholds[1] == np.inf


def test_precision_and_base_rate_match_plain_counts():
    truth, target, probs, _ = data_with_label_errors(1000)
    votes = np.eye(7, dtype=np.float32)[truth]
    # Images without votes
    votes[::9] = 0
    errors = find_label_errors(target, probs)
    first = [row for row in errors.rows[:50] if row % 9]
    wrong = sum(int(truth[row] != target[row]) for row in first)
    top = errors.rows[:50]
    precision = outvoted_proportion(target[top], votes[top])
    interval = binomtest(wrong, len(first)).proportion_ci(method="wilson")
    assert (precision.value, precision.n) == (wrong / len(first), len(first))
    assert (precision.low, precision.high) == pytest.approx((interval.low, interval.high))
    has_votes = np.arange(1000) % 9 > 0
    assert outvoted_proportion(target, votes).value == pytest.approx((truth != target)[has_votes].mean())


def test_a_tie_of_votes_counts_for_the_label():
    votes = np.array([[0.5, 0.5, 0.0], [0.4, 0.6, 0.0]])
    outvoted = outvoted_proportion(np.array([0, 0]), votes)
    assert (outvoted.value, outvoted.n) == (0.5, 2)


def predictions(votes: bool, role: str = "val", n: int = 300) -> tuple[Predictions, np.ndarray]:
    truth, target, probs, _ = data_with_label_errors(n)
    human = np.eye(7, dtype=np.float32)[truth] if votes else None
    index, source = np.arange(n), np.array([f"row {i}" for i in range(n)])
    logits = np.log(probs).astype(np.float32)
    images = np.random.default_rng(0).integers(0, 256, (n, 24, 24, 1), np.uint8)
    about = About(role=role)
    return Predictions(FER7, index, target, logits, probs.astype(np.float32), human, source, about), images


def test_section_with_votes_has_precision_and_base_rate():
    table, images = predictions(votes=True)
    section = label_errors_section(table, images)
    top = find_label_errors(table.target, table.probs).rows[:100]
    assert section.numbers["precision_at_100"] == outvoted_proportion(table.target[top], table.votes[top])
    assert "outvoted by another emotion" in section.paragraphs[1]
    assert len(section.tables[0].rows) == 10
    assert section.plots[0].png.startswith(b"\x89PNG")


def test_a_weak_model_gets_no_list():
    table, images = predictions(votes=True)
    wrong = np.roll(table.probs, 1, 1)
    mixed = np.where(np.arange(len(table))[:, None] % 4 == 0, table.probs, wrong)
    section = label_errors_section(replace(table, probs=mixed, logits=np.log(mixed)), images)
    assert section.numbers["estimated_noise"] > 0.5
    assert "too weak for a list" in section.paragraphs[0]
    assert not section.tables
    assert not section.plots
    assert "first" not in section.numbers


def test_section_without_votes_has_no_precision_and_warns_of_training_images():
    section = label_errors_section(*predictions(votes=False, role="train"))
    assert "precision_at_100" not in section.numbers
    assert "trained on" in section.paragraphs[-1]
    assert {row[-1] for row in section.tables[0].rows} == {None}


@pytest.mark.skipif(
    "FER_DATA_DIR" not in os.environ, reason="FER_DATA_DIR is not set to a folder with fer2013.csv"
)
def test_fraction_of_outvoted_labels_of_fer2013():
    from fer.data.readers.fer2013 import read_fer2013
    from fer.data.readers.ferplus import FILENAME, read_votes

    folder = Path(os.environ["FER_DATA_DIR"])
    if not (folder / FILENAME).is_file():
        pytest.skip(f"FER_DATA_DIR holds no {FILENAME}")
    data, counts = read_fer2013(folder / "fer2013.csv"), read_votes(folder / FILENAME).counts
    # Columns of FER+ in the order of FER2013's emotions
    order = [4, 5, 6, 1, 3, 2, 0]
    votes = np.where(counts > 1, counts, 0)[:, order]
    val = data.split == 1
    assert outvoted_proportion(data.targets[val], votes[val]).value == pytest.approx(0.353, abs=0.001)
