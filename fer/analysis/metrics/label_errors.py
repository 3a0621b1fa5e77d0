"""Probable label errors by confident learning, without a second annotation.

Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068. The threshold of a class is the mean
probability that the model gives it on the images with that label. An image counts as the most probable class
whose threshold it reaches. If that is not its label, the image is a candidate. Candidates are ranked by the
normalised margin: the probability of the label minus the largest other probability.

The predictions must be out of sample: a model can memorise the labels that it was trained on, including wrong
ones.
"""

from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.classification import confusion_counts
from fer.analysis.metrics.estimate import Estimate, proportion


@dataclass(frozen=True)
class LabelErrors:
    """Candidates for a wrong label, the most probable errors first.

    Attributes:
        rows: int64 ``(n,)``, positions in the predictions.
        likely: int64 ``(n,)``, the class that each candidate counts as.
        margins: float64 ``(n,)`` in [-1, 1], probability of the label minus the largest other
            probability; ascending.
        thresholds: float64 ``(K,)``, the mean probability of each class on the images with that label;
            infinite for a class without images, as no image can count as it.
        joint: int64 ``(K, K)``, the confident joint: rows are labels, columns the classes that images count
            as. An image below all thresholds is in no cell.
    """

    rows: np.ndarray
    likely: np.ndarray
    margins: np.ndarray
    thresholds: np.ndarray
    joint: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.rows)


def find_label_errors(target: np.ndarray, probs: np.ndarray) -> LabelErrors:
    """Return the images that are confidently of another class than their label, ranked by margin.

    Args:
        target: int ``(N,)``, labels of the data set, 0 to K - 1.
        probs: ``(N, K)``, out-of-sample probabilities.
    """
    probs = np.asarray(probs, np.float64)
    num_classes = probs.shape[1]
    support = np.bincount(target, minlength=num_classes)
    sums = np.bincount(target, weights=probs[np.arange(len(target)), target], minlength=num_classes)
    thresholds = np.where(support > 0, sums / np.maximum(support, 1), np.inf)
    confident = np.where(probs >= thresholds, probs, -1.0)
    counted, is_counted = confident.argmax(1), confident.max(1) >= 0
    joint = confusion_counts(target[is_counted], counted[is_counted], num_classes)
    rows = np.flatnonzero(is_counted & (counted != target))
    # The probability of the label minus the largest other
    label_probs, others = probs[rows, target[rows]], probs[rows]
    others[np.arange(len(rows)), target[rows]] = -np.inf
    margins = label_probs - others.max(1)
    order = np.argsort(margins, kind="stable")
    return LabelErrors(rows[order], counted[rows[order]], margins[order], thresholds, joint)


def estimate_label_noise(errors: LabelErrors, target: np.ndarray) -> float:
    """Return the estimated fraction of wrong labels, from the calibrated confident joint.

    Each row of the joint is scaled to the number of images with that label, so that images in no cell count
    like the others (equation 3 of the paper).
    """
    support = np.bincount(target, minlength=len(errors.joint))
    counted = errors.joint.sum(1)
    correct = np.where(counted > 0, errors.joint.diagonal() / np.maximum(counted, 1), 1.0)
    return float((support * (1 - correct)).sum() / max(1, support.sum()))


def outvoted_proportion(target: np.ndarray, votes: np.ndarray) -> Estimate:
    """Return the fraction of labels that have fewer votes than another emotion; a tie is not outvoted.

    Args:
        target: int ``(N,)``, labels of the data set.
        votes: ``(N, K)``; images without votes, rows of zeros, are left out.
    """
    outvoted = votes[np.arange(len(target)), target] < votes.max(1)
    return proportion(int(outvoted.sum()), int((votes.sum(1) > 0).sum()))
