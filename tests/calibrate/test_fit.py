"""Fits of temperature, priors and thresholds, their folds and their figures."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from fer.analysis.metrics.classification import score
from fer.analysis.metrics.temperature import NUM_FOLDS, fit_temperature, scaled_probs
from fer.calibrate.figures import Answers, compare_answers
from fer.calibrate.fit import PriorShift, assign_folds, cross_fit, fit, fit_biases
from fer.calibrate.priors import estimate_priors, log_prior_ratio

RNG = np.random.default_rng(0)
SOURCE, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
MEANS = np.eye(3) * 2


def draw(priors, n, seed=0):
    """Return features, and labels that occur with these frequencies: normal clusters of variance 1."""
    rng = np.random.default_rng(seed)
    target = rng.choice(3, n, p=priors)
    return MEANS[target] + rng.normal(size=(n, 3)), target


def true_logits(features, priors):
    """Return the logits of Bayes' rule for the clusters."""
    return features @ MEANS.T - (MEANS**2).sum(1) / 2 + np.log(priors)


def test_priors_are_found_without_labels():
    features, target = draw(TARGET, 4000)
    probs = scaled_probs(true_logits(features, SOURCE), 1.0)
    found = estimate_priors(probs, SOURCE)
    np.testing.assert_allclose(found, np.bincount(target) / len(target), atol=0.02)
    # Corrected probabilities are those of Bayes' rule with the new frequencies.
    corrected = scaled_probs(true_logits(features, SOURCE), 1.0, log_prior_ratio(TARGET, SOURCE))
    np.testing.assert_allclose(corrected, scaled_probs(true_logits(features, TARGET), 1.0), atol=1e-12)


def test_priors_of_the_training_stay_and_none_is_zero():
    probs = scaled_probs(RNG.normal(size=(500, 3)), 1.0)
    mean = probs.mean(0)
    np.testing.assert_allclose(estimate_priors(probs, mean), mean, atol=1e-4)
    only_one = np.tile([1.0, 1e-12, 1e-12], (100, 1))
    assert (estimate_priors(only_one, SOURCE) > 0.001).all()


def test_a_temperature_with_an_offset_has_the_smallest_loss():
    features, target = draw(TARGET, 2000)
    logits, offset = 3 * true_logits(features, SOURCE), log_prior_ratio(TARGET, SOURCE)
    found = fit_temperature(logits, target, offset)
    assert found == pytest.approx(3, rel=0.1)
    losses = [log_loss(target, scaled_probs(logits, found * factor, offset)) for factor in (0.97, 1, 1.03)]
    assert np.argmin(losses) == 1


def test_a_fit_with_priors_recovers_both():
    features, target = draw(TARGET, 3000)
    logits = true_logits(features, SOURCE)
    fitted = fit(logits, target, PriorShift(SOURCE, 1.0))
    assert fitted.temperature == pytest.approx(1, abs=0.1)
    assert fitted.low < 1 < fitted.high
    np.testing.assert_allclose(fitted.priors, TARGET, atol=0.03)
    # Priors of other images need no labels.
    others, _ = draw(TARGET, 3000, seed=1)
    by_others = fit(logits, target, PriorShift(SOURCE, 1.0, true_logits(others, SOURCE)))
    np.testing.assert_allclose(by_others.priors, TARGET, atol=0.03)
    assert not np.array_equal(by_others.priors, fitted.priors)


def test_biases_are_those_of_a_logistic_regression():
    features, target = draw(TARGET, 3000)
    logits, shift = 2 * true_logits(features, SOURCE), log_prior_ratio(TARGET, SOURCE)
    fitted = fit(logits, target, biases=True)
    assert fitted.temperature == pytest.approx(2, rel=0.1)
    assert fitted.priors is None
    np.testing.assert_allclose(fitted.log_prior, shift, atol=0.2)
    best = log_loss(target, fitted.probs(logits))
    for change in 0.05 * np.eye(3):
        for sign in (-1, 1):
            changed = scaled_probs(logits, fitted.temperature, fitted.log_prior + sign * change)
            assert log_loss(target, changed) > best


def test_an_emotion_without_images_has_a_finite_bias():
    features, target = draw(SOURCE, 300)
    biases = fit_biases(true_logits(features, SOURCE)[target < 2], target[target < 2])
    assert np.abs(biases).max() < 5
    assert biases[2] == biases.min()


def test_without_a_threshold_no_prediction_is_certain():
    """All of a few images are correct: their probabilities are 1, but no accuracy is guaranteed."""
    target = np.arange(9) % 3
    fitted = fit(100 * np.eye(3)[target], target)
    probs = fitted.probs(100 * np.eye(3)[target])
    assert fitted.threshold is None
    assert probs.max() == 1
    assert not fitted.certain(probs).any()


def test_cross_fitting_never_uses_the_labels_of_a_fold():
    features, target = draw(SOURCE, 200)
    logits, groups = true_logits(features, SOURCE), np.arange(200)
    probs, certain = cross_fit(logits, target, groups, accuracy=0.7)
    folds = assign_folds(groups, target)
    held_out = folds == 0
    expected = fit(logits[~held_out], target[~held_out], accuracy=0.7)
    np.testing.assert_allclose(probs[held_out], expected.probs(logits[held_out]))
    np.testing.assert_array_equal(certain[held_out], expected.certain(probs[held_out]))
    assert 0 < certain.sum() < 200


def test_folds_keep_groups_together_and_emotions_apart():
    target = RNG.integers(0, 7, 400)
    groups = RNG.integers(0, 60, 400)
    folds = assign_folds(groups, target)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    sizes = np.bincount(folds, minlength=NUM_FOLDS)
    assert sizes.min() > 60
    single = assign_folds(np.arange(400), target)
    counts = np.array([np.bincount(target[single == fold], minlength=7) for fold in range(NUM_FOLDS)])
    assert (np.ptp(counts, axis=0) <= 2).all()


def test_figures_are_those_of_a_report():
    features, target = draw(SOURCE, 600)
    probs = scaled_probs(true_logits(features, SOURCE), 0.6)
    better = scaled_probs(true_logits(features, SOURCE), 1.0)
    figures = compare_answers(
        target, np.arange(600), Answers(probs, probs.max(1) > 0.9), Answers(better, better.max(1) > 0.9)
    )
    expected = score(target, probs, ["a", "b", "c"])
    for name in ("accuracy", "macro_f1", "uar", "log_loss", "ece_mass"):
        assert figures.before[name].value == pytest.approx(expected[name].value)
        assert figures.before[name].low < figures.before[name].high
    certain = better.max(1) > 0.9
    assert figures.after["coverage"].value == pytest.approx(certain.mean())
    hits = better.argmax(1)[certain] == target[certain]
    assert figures.after["selective_accuracy"].value == pytest.approx(hits.mean())
    difference = figures.difference["log_loss"]
    assert difference.value == pytest.approx(log_loss(target, better) - log_loss(target, probs))
    assert difference.high < 0
    assert figures.difference["accuracy"].value == 0


def test_intervals_of_groups_are_wider():
    features, target = draw(SOURCE, 100)
    probs = scaled_probs(true_logits(features, SOURCE), 1.0)
    answers = Answers(np.repeat(probs, 8, axis=0), np.zeros(800, bool))
    target = np.repeat(target, 8)
    widths = [
        (lambda one: one.high - one.low)(compare_answers(target, groups, answers, answers).after["log_loss"])
        for groups in (np.arange(800), np.repeat(np.arange(100), 8))
    ]
    assert widths[1] > 2 * widths[0]
    assert compare_answers(target, np.arange(800), answers, answers).after["selective_accuracy"].value is None
