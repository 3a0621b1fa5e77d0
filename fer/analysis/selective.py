"""Answer only when sure: the risk-coverage curve, and the confidence that makes answers right enough.

Terms of Geifman and El-Yaniv 2017 (https://arxiv.org/abs/1705.08500): coverage is the share of the images
that are answered, risk the share of wrong answers among these.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

COVERAGES = np.arange(20, 0, -1) / 20  # candidates for a threshold: 100 %, 95 %, … 5 %
ERROR = 0.05  # chance, for a wanted accuracy, that the promise is wrong


@dataclass(frozen=True)
class Threshold:
    """The confidence from which on a model answers.

    Attributes:
        wanted: Accuracy asked for, in (0, 1).
        confidence: Answer from this confidence on; None where no threshold reaches the accuracy.
        coverage: Share of the images that it leaves; None with it.
        accuracy: Measured accuracy on these; None with it.
        low: What the accuracy on new images is at least, with 95 % confidence; None with it.
        n: Images that it was measured on, answered or not.
    """

    wanted: float
    confidence: float | None
    coverage: float | None
    accuracy: float | None
    low: float | None
    n: int


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and risk when the k most confident images are answered, for k from 1 to N.

    Images of equal confidence count as their mean, so that their order does not matter.

    Args:
        confidence: ``(N,)``.
        correct: bool ``(N,)``.

    Returns:
        float64 ``(N,)`` each, coverages ascending to 1.
    """
    _, group, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    wrong = (np.bincount(group, ~correct) / counts)[np.sort(group)]
    answered = np.arange(1, len(confidence) + 1)
    return answered / len(confidence), np.cumsum(wrong) / answered


def aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the area under the risk-coverage curve: the mean risk over all coverages, lower is better."""
    return float(risk_coverage(confidence, correct)[1].mean())


def best_aurc(correct: np.ndarray) -> float:
    """Return the area if confidence put every right answer before every wrong one."""
    return aurc(correct.astype(float), correct)


def aurc_draws(order: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area of resamples.

    Args:
        order: int ``(N,)``, the images from the most to the least confident.
        correct: bool ``(N,)``.
        weights: How often each image was drawn, ``(r, N)``.

    Returns:
        float64 ``(r,)``.
    """
    drawn = weights[:, order].astype(np.float64)
    answered, wrong = drawn.cumsum(1), (drawn * ~correct[order]).cumsum(1)
    risk = np.divide(wrong, answered, out=np.zeros_like(wrong), where=answered > 0)
    return (risk * drawn).sum(1) / drawn.sum(1)


def threshold_for(wanted: float, confidence: np.ndarray, correct: np.ndarray) -> Threshold:
    """Find the confidence above which an accuracy holds, answering as many images as can be promised.

    Taken is the largest of `COVERAGES` whose accuracy is, by the exact binomial bound of Clopper and Pearson
    1934 (https://doi.org/10.1093/biomet/26.4.404), at least what is wanted. Each candidate may err with 5 %
    over the number of candidates, so that the one taken errs with 5 % at most (as Geifman and El-Yaniv 2017
    do for theirs). A threshold where the measured accuracy just holds promises too much every other time.

    Args:
        wanted: Accuracy among the answered images, in (0, 1).
        confidence: ``(N,)``, as the model will give it out, that is, calibrated.
        correct: bool ``(N,)``.
    """
    n, ranked = len(correct), np.sort(confidence)[::-1]
    for coverage in COVERAGES:
        least = float(ranked[max(1, round(coverage * n)) - 1])
        answered = confidence >= least
        hits, count = int(correct[answered].sum()), int(answered.sum())
        low = lower_bound(hits, count, ERROR / len(COVERAGES))
        if low >= wanted:
            return Threshold(wanted, least, count / n, hits / count, low, n)
    return Threshold(wanted, None, None, None, None, n)


def lower_bound(hits: int, n: int, error: float) -> float:
    """Return the share that is undercut with probability ``error`` at most: Clopper and Pearson's bound."""
    return float(betaincinv(hits, n - hits + 1, error)) if hits else 0.0
