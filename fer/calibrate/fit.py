"""Fit temperature, class priors or biases, and thresholds to a model's logits, and cross-fit them.

Cross-fitting: the images are divided into folds, and each is answered with what was fitted on the other
folds, so that no figure is of images that it was fitted on. Images that belong together (a person, near
copies) are in one fold.
"""

from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.calibration import TARGET_ACCURACIES, confidence_and_correct
from fer.analysis.metrics.calibration_file import Calibration, choose_threshold
from fer.analysis.metrics.selective import Threshold, threshold_for
from fer.analysis.metrics.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    NUM_FOLDS,
    fit_temperature,
    scaled_probs,
    temperature_interval,
)
from fer.bundle.card import UNREACHABLE
from fer.calibrate.priors import estimate_priors, log_prior_ratio


@dataclass(frozen=True)
class PriorShift:
    """What is needed to estimate class priors.

    Attributes:
        source: ``(K,)``, frequencies that the model has learned, as in its calibrated answers.
        temperature: Of the calibration on images like those of the training.
        logits: ``(M, K)`` of other images of the place of use; None: the images of the fit, without labels.
    """

    source: np.ndarray
    temperature: float
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Fit:
    """What was fitted.

    Attributes:
        temperature: Divisor of the logits.
        low: Lower end of its 95 % interval.
        high: Upper end.
        priors: ``(K,)``, frequencies where the model is used; None if they are not corrected.
        log_prior: ``(K,)``, added to the divided logits: the correction of the priors, or biases that were
            fitted to the labels; None without either.
        thresholds: Confidences from which accuracies are reached.
    """

    temperature: float
    low: float
    high: float
    priors: np.ndarray | None
    log_prior: np.ndarray | None
    thresholds: tuple[Threshold, ...]

    @property
    def threshold(self) -> Threshold | None:
        """The threshold below which predictions are uncertain, chosen as for an export; None without one."""
        return choose_threshold(self.calibration("", 0, ""))

    def probs(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 ``(N, K)``."""
        return scaled_probs(logits, self.temperature, self.log_prior)

    def certain(self, probs: np.ndarray) -> np.ndarray:
        """Return which predictions are certain, bool ``(N,)``: none without a threshold."""
        threshold = self.threshold
        confidence = None if threshold is None else threshold.confidence
        return probs.max(1) >= (UNREACHABLE if confidence is None else confidence)

    def calibration(self, split: str, n: int, manifest_sha256: str) -> Calibration:
        """Return it as the record of a calibration; its images are described by the arguments."""
        return Calibration(
            self.temperature, self.low, self.high, self.thresholds, "val", split, n, manifest_sha256, None
        )


def fit(
    logits: np.ndarray,
    target: np.ndarray,
    shift: PriorShift | None = None,
    accuracy: float | None = None,
    biases: bool = False,
) -> Fit:
    """Fit to labelled images.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``.
        shift: For class priors; None: they are not corrected.
        accuracy: Accuracy that certain predictions have to reach; None: `TARGET_ACCURACIES`, of which
            `choose_threshold` chooses.
        biases: Without ``shift``: also fit a bias of each emotion, see `fit_biases`.
    """
    priors, log_prior = None, fit_biases(logits, target) if biases else None
    if shift is not None:
        unlabelled = logits if shift.logits is None else shift.logits
        # With the temperature of the training's images: the method assumes that only frequencies differ.
        priors = estimate_priors(scaled_probs(unlabelled, shift.temperature), shift.source)
        log_prior = log_prior_ratio(priors, shift.source)
    temperature = fit_temperature(logits, target, log_prior)
    low, high = temperature_interval(logits, target, temperature, log_prior)
    confidence, correct = confidence_and_correct(scaled_probs(logits, temperature, log_prior), target)
    wanted = TARGET_ACCURACIES if accuracy is None else (accuracy,)
    thresholds = tuple(threshold_for(one, confidence, correct) for one in wanted)
    return Fit(temperature, low, high, priors, log_prior, thresholds)


def fit_biases(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a bias of each emotion, float64 ``(K,)`` with a mean of 0.

    Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020,
    https://arxiv.org/abs/1901.06852): temperature and biases that minimise the negative log-likelihood
    together. The biases have a normal prior with a standard deviation of 1, so that an emotion without images
    stays as it is.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``.
    """
    # Takes half a second to import.
    from scipy.optimize import minimize

    n, num_classes = logits.shape
    frequencies = np.bincount(target, minlength=num_classes) / n
    scaled = logits - logits.max(1, keepdims=True)
    own = scaled[np.arange(n), target].mean()

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return loss and gradient for 1 / T and the biases."""
        inverse, biases = values[0], values[1:]
        powers = inverse * scaled + biases
        log_sums = np.logaddexp.reduce(powers, axis=1)
        probs = np.exp(powers - log_sums[:, None])
        value = log_sums.mean() - inverse * own - biases @ frequencies + biases @ biases / (2 * n)
        slope = (probs * scaled).sum(1).mean() - own
        return float(value), np.concatenate([[slope], probs.mean(0) - frequencies + biases / n])

    start = np.concatenate([[1 / fit_temperature(logits, target)], np.zeros(num_classes)])
    bounds = [(1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE), *[(None, None)] * num_classes]
    found: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[1:]
    return found - found.mean()


def cross_fit(
    logits: np.ndarray,
    target: np.ndarray,
    groups: np.ndarray,
    shift: PriorShift | None = None,
    accuracy: float | None = None,
    biases: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return cross-fitted probabilities, float64 ``(N, K)``, and whether they are certain, bool ``(N,)``.

    The arguments are those of `fit`, and of `assign_folds`.
    """
    folds = assign_folds(groups, target)
    probs, certain = np.empty(logits.shape, np.float64), np.empty(len(target), bool)
    for number in range(NUM_FOLDS):
        held_out = folds == number
        fitted = fit(logits[~held_out], target[~held_out], shift, accuracy, biases)
        probs[held_out] = fitted.probs(logits[held_out])
        certain[held_out] = fitted.certain(probs[held_out])
    return probs, certain


def assign_folds(groups: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the fold of each image, int64 ``(N,)``: whole groups, with about the same emotions in each fold.

    The largest groups are placed first, each in the fold that has the smallest part of its emotions.

    Args:
        groups: int ``(N,)``, equal for images that belong together.
        target: int ``(N,)``.
    """
    names, members = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(target.max()) + 1))
    np.add.at(counts, (members, target), 1)
    shares = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(0).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    filled, fold_of = np.zeros((NUM_FOLDS, counts.shape[1])), np.empty(len(names), np.int64)
    for group in order:
        # The number of images decides between folds that have the same part of its emotions.
        load = ((filled + shares[group]) ** 2 - filled**2).sum(1)
        fold = int(np.lexsort((filled.sum(1), load))[0])
        fold_of[group] = fold
        filled[fold] += shares[group]
    return fold_of[members]
