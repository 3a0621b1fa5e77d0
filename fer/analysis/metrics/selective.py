"""Selective classification: the risk-coverage curve, and confidence thresholds that guarantee an accuracy.

Terms of Geifman and El-Yaniv 2017 (https://arxiv.org/abs/1705.08500): the model answers only where it is
confident. Coverage is the fraction of images that it answers, risk the error rate on these.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

# Coverages that a threshold is tried at: 100 %, 95 %, … 5 %
COVERAGES = np.arange(20, 0, -1) / 20
# Maximum probability that the accuracy at a threshold is below the wanted one
ERROR_PROBABILITY = 0.05


@dataclass(frozen=True)
class Threshold:
    """The confidence from which the model answers. The field names are keys of calibration.json.

    Attributes:
        wanted: The accuracy to reach among answered images, in (0, 1).
        confidence: The model answers from this confidence on; None where no threshold reaches the accuracy.
        coverage: Fraction of the images that are answered; None without a threshold.
        accuracy: Measured accuracy on these; None without a threshold.
        low: Lower 95 % confidence bound of the accuracy on new images; None without a threshold.
        n: Number of images that it was fitted on, answered or not.
    """

    wanted: float
    confidence: float | None
    coverage: float | None
    accuracy: float | None
    low: float | None
    n: int


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and risk when the k most confident images are answered, for k from 1 to N.

    Images of equal confidence count with their mean error, so their order has no effect.

    Args:
        confidence: ``(N,)``.
        correct: bool ``(N,)``.

    Returns:
        float64 ``(N,)`` each, coverages ascending to 1.
    """
    _, group, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    errors = (np.bincount(group, ~correct) / counts)[np.sort(group)]
    answered = np.arange(1, len(confidence) + 1)
    return answered / len(confidence), np.cumsum(errors) / answered


def aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the area under the risk-coverage curve: the mean risk over all coverages, lower is better."""
    return float(risk_coverage(confidence, correct)[1].mean())


def best_aurc(correct: np.ndarray) -> float:
    """Return the AURC of a confidence that ranks every correct prediction above every wrong one."""
    return aurc(correct.astype(float), correct)


def resampled_aurc(order: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AURC of bootstrap resamples.

    Args:
        order: int ``(N,)``, the images from the most to the least confident.
        correct: bool ``(N,)``.
        weights: How often each image is drawn, ``(r, N)``.

    Returns:
        float64 ``(r,)``.
    """
    drawn = weights[:, order].astype(np.float64)
    answered, errors = drawn.cumsum(1), (drawn * ~correct[order]).cumsum(1)
    risk = np.divide(errors, answered, out=np.zeros_like(errors), where=answered > 0)
    return (risk * drawn).sum(1) / drawn.sum(1)


def threshold_for(wanted: float, confidence: np.ndarray, correct: np.ndarray) -> Threshold:
    """Return the confidence threshold of the largest coverage at which an accuracy is guaranteed.

    The coverage is the largest of `COVERAGES` at which the exact binomial lower bound of the accuracy
    (Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404) is at least ``wanted``. The error
    probability of 5 % is divided by the number of coverages tried, so that the chosen threshold fails with at
    most 5 % (as in Geifman and El-Yaniv 2017). A threshold at which only the measured accuracy reaches
    ``wanted`` would fail about half of the time.

    Args:
        wanted: The accuracy to reach among answered images, in (0, 1).
        confidence: ``(N,)``, calibrated, as the deployed model reports it.
        correct: bool ``(N,)``.
    """
    n, ranked = len(correct), np.sort(confidence)[::-1]
    for coverage in COVERAGES:
        threshold = float(ranked[max(1, round(coverage * n)) - 1])
        answered = confidence >= threshold
        hits, count = int(correct[answered].sum()), int(answered.sum())
        low = clopper_pearson_lower_bound(hits, count, ERROR_PROBABILITY / len(COVERAGES))
        if low >= wanted:
            return Threshold(wanted, threshold, count / n, hits / count, low, n)
    return Threshold(wanted, None, None, None, None, n)


def clopper_pearson_lower_bound(hits: int, n: int, error: float) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a proportion, with confidence 1 - ``error``."""
    return float(betaincinv(hits, n - hits + 1, error)) if hits else 0.0
