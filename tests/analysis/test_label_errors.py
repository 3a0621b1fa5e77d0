import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from fer.analysis.label_errors import (
    base_rate,
    estimated_noise,
    find_label_errors,
    normalised_margins,
    outvoted,
    precision_at,
    section,
)
from fer.analysis.predictions import Predictions
from fer.labels import FER7


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def planted(n: int = 4000, noise: float = 0.1, seed: int = 0):
    """True classes, labels of which some were changed, and a model that knows the truth more or less."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, n)
    changed = rng.random(n) < noise
    target = np.where(changed, (truth + rng.integers(1, 7, n)) % 7, truth)
    return truth, target, softmax(rng.normal(0, 1, (n, 7)) + 3.0 * np.eye(7)[truth]), changed


def by_loops(target, probs):
    """Confident learning as the paper writes it, image by image."""
    num_classes = probs.shape[1]
    thresholds = [np.mean([p[j] for p, y in zip(probs, target, strict=True) if y == j] or [np.inf])
                  for j in range(num_classes)]  # fmt: skip
    joint, doubted = np.zeros((num_classes, num_classes), int), {}
    for row, (p, label) in enumerate(zip(probs, target, strict=True)):
        above = [j for j in range(num_classes) if p[j] >= thresholds[j]]
        if above:
            counted = max(above, key=lambda j: p[j])
            joint[label, counted] += 1
            if counted != label:
                doubted[row] = p[label] - max(p[j] for j in range(num_classes) if j != label)
    return joint, sorted(doubted, key=lambda row: doubted[row])


def test_equals_the_paper_written_out():
    _, target, probs, _ = planted(500)
    joint, doubted = by_loops(target, probs)
    found = find_label_errors(target, probs)
    assert np.array_equal(found.joint, joint)
    assert found.rows.tolist() == doubted
    assert found.margins == pytest.approx(normalised_margins(target, probs)[found.rows])
    assert (found.likely != target[found.rows]).all()


def test_finds_planted_errors():
    truth, target, probs, changed = planted()
    found = find_label_errors(target, probs)
    assert changed[found.rows[:100]].mean() >= 0.98
    assert changed[found.rows].mean() >= 0.6
    assert np.isin(np.flatnonzero(changed), found.rows).mean() >= 0.6
    assert (found.likely == truth[found.rows])[:100].mean() >= 0.95
    assert estimated_noise(found, target) == pytest.approx(changed.mean(), abs=0.05)


def test_finds_nothing_where_model_and_labels_agree():
    target = np.arange(70) % 7
    found = find_label_errors(target, 0.9 * np.eye(7)[target] + 0.1 / 7)
    assert len(found) == 0
    assert estimated_noise(found, target) == 0.0


def test_a_class_without_an_image_is_never_the_likely_one():
    _, target, probs, _ = planted(600)
    kept = target != 1
    found = find_label_errors(target[kept], probs[kept])
    assert 1 not in found.likely
    assert found.thresholds[1] == np.inf


def test_precision_and_base_rate_are_counted_by_hand():
    truth, target, probs, _ = planted(1000)
    votes = np.eye(7, dtype=np.float32)[truth]
    votes[::9] = 0  # nobody voted
    found = find_label_errors(target, probs)
    first = [row for row in found.rows[:50] if row % 9]
    wrong = sum(int(truth[row] != target[row]) for row in first)
    figure, exact = precision_at(found, target, votes, 50), binomtest(wrong, len(first))
    interval = exact.proportion_ci(method="wilson")
    assert (figure.value, figure.n) == (wrong / len(first), len(first))
    assert (figure.low, figure.high) == pytest.approx((interval.low, interval.high))
    voted = np.arange(1000) % 9 > 0
    assert base_rate(target, votes).value == pytest.approx((truth != target)[voted].mean())


def test_a_tie_of_votes_is_for_the_label():
    votes = np.array([[0.5, 0.5, 0.0], [0.4, 0.6, 0.0]])
    assert outvoted(np.array([0, 0]), votes).tolist() == [False, True]


def predictions(votes: bool, role: str = "val", n: int = 300) -> tuple[Predictions, np.ndarray]:
    truth, target, probs, _ = planted(n)
    human = np.eye(7, dtype=np.float32)[truth] if votes else None
    index, source = np.arange(n), np.array([f"row {i}" for i in range(n)])
    logits = np.log(probs).astype(np.float32)
    images = np.random.default_rng(0).integers(0, 256, (n, 24, 24, 1), np.uint8)
    about = {"role": role}
    return Predictions(FER7, index, target, logits, probs.astype(np.float32), human, source, about), images


def test_section_with_votes_tells_precision_beside_the_base_rate():
    given, images = predictions(votes=True)
    chapter = section(given, images)
    assert chapter.numbers["precision_at_100"] == precision_at(
        find_label_errors(given.target, given.probs), given.target, given.votes
    )
    assert "outvoted by another emotion" in chapter.words[1]
    assert len(chapter.tables[0].rows) == 10
    assert chapter.pictures[0].png.startswith(b"\x89PNG")


def test_section_without_votes_claims_no_precision_and_warns_of_trained_images():
    chapter = section(*predictions(votes=False, role="train"))
    assert "precision_at_100" not in chapter.numbers
    assert "trained on" in chapter.words[-1]
    assert {row[-1] for row in chapter.tables[0].rows} == {None}


@pytest.mark.skipif("FER_DATA_DIR" not in os.environ, reason="FER_DATA_DIR names no folder with fer2013.csv")
def test_fer2013_labels_are_outvoted_as_often_as_the_votes_say():
    from fer.data.fer2013 import read_fer2013
    from fer.data.ferplus import FILENAME, read_votes

    folder = Path(os.environ["FER_DATA_DIR"])
    if not (folder / FILENAME).is_file():
        pytest.skip(f"FER_DATA_DIR holds no {FILENAME}")
    data, counts = read_fer2013(folder / "fer2013.csv"), read_votes(folder / FILENAME).counts
    order = [4, 5, 6, 1, 3, 2, 0]  # FER+'s columns of FER2013's emotions
    votes = np.where(counts > 1, counts, 0)[:, order]
    val = data.split == 1
    assert base_rate(data.targets[val], votes[val]).value == pytest.approx(0.353, abs=0.001)
