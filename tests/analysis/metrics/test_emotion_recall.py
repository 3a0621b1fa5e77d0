"""Recall by emotion of two candidates, against loops and a permutation test."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from fer.analysis.metrics.comparison import Candidate
from fer.analysis.metrics.emotion_recall import compare_emotions
from fer.analysis.metrics.matching import MatchedImages
from fer.core.labels import FER7


def candidate(name, *members):
    return Candidate(name, members, tuple(map(str, members)), 1, 1.0, None, None)


def images(*accuracies, n=700, seed=0, emotions=7):
    """Return images and one model for each accuracy; the first model is worse at sad."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, emotions, n)
    probs = []
    for model, accuracy in enumerate(accuracies):
        chance = np.where((target == FER7.index("sad")) & (model == 0), 0.2, accuracy)
        preds = np.where(rng.random(n) < chance, target, (target + 1) % 7)
        probs.append(np.eye(7, dtype=np.float32)[preds])
    return MatchedImages("labels", FER7, target, probs, [], np.arange(len(target)))


def test_recalls_are_those_of_a_loop_and_the_worse_emotion_is_found():
    matched = images(0.7, 0.7)
    rows = compare_emotions(matched, candidate("a", 0), candidate("b", 1))
    assert [row.emotion for row in rows] == list(FER7.names)
    for number, row in enumerate(rows):
        selected = matched.target == number
        recalls = [(table.argmax(1) == number)[selected].mean() for table in matched.probs]
        assert row.images == selected.sum()
        assert [one.value for one in row.recalls] == pytest.approx(recalls)
        assert row.difference.value == pytest.approx(recalls[0] - recalls[1])
        assert row.difference.low < row.difference.value < row.difference.high
    assert rows[4].difference.high < 0
    assert rows[4].p_holm == min(row.p_holm for row in rows) < 1e-4


def test_the_interval_of_a_difference_matches_that_of_paired_images():
    """Of a paired difference d, the variance of the mean is var(d) / n."""
    matched = images(0.7, 0.6, n=2000)
    row = compare_emotions(matched, candidate("a", 0), candidate("b", 1))[0]
    selected = matched.target == 0
    correct = [(table.argmax(1) == 0)[selected].astype(float) for table in matched.probs]
    error = np.std(correct[0] - correct[1]) / np.sqrt(selected.sum())
    assert row.difference.high - row.difference.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_a_recall_of_zero_has_wilsons_interval():
    matched = images(0.0, 0.7)
    recall = compare_emotions(matched, candidate("a", 0), candidate("b", 1))[0].recalls[0]
    expected = binomtest(0, recall.n).proportion_ci(method="wilson")
    assert (recall.value, recall.low, recall.high) == pytest.approx((0, expected.low, expected.high))


def test_emotions_with_few_images_are_not_tested_and_without_images_left_out():
    matched = images(0.7, 0.7, n=60, emotions=6)
    target = np.where(matched.target == 1, 0, matched.target)
    target[:3] = 1
    rows = compare_emotions(replace(matched, target=target), candidate("a", 0), candidate("b", 1))
    assert [row.emotion for row in rows] == list(FER7.names[:6])
    assert (rows[1].images, rows[1].difference, rows[1].p_holm) == (3, None, None)


def test_seeds_of_a_recipe_are_averaged():
    matched = images(0.7, 0.7, 0.7, 0.7)
    rows = compare_emotions(matched, candidate("a", 0, 1), candidate("b", 2, 3))
    selected = matched.target == 3
    means = [(table.argmax(1) == 3)[selected].mean() for table in matched.probs]
    assert rows[3].recalls[0].value == pytest.approx(np.mean(means[:2]))
    assert rows[3].difference.seeds == (2, 2)
