"""Whether an accuracy differs from the one that training recorded by more than rounding explains."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from fer.analysis.predictions import Predictions
from fer.training.run_record import RunRecord

# Relative spacing of numbers in bfloat16, and in half precision and TF32, in which a GPU computes in fp32
_BF16, _HALF = 2.0**-8, 2.0**-11
# Largest margin that counts as nearly equal, in standard deviations of its rounding error
_NEAR = 4.0
# Width of the tolerance, in standard deviations of the number of correct predictions
_WIDTH = 3.0


@dataclass(frozen=True)
class AccuracyChange:
    """A difference from the recorded accuracy that rounding does not explain.

    Attributes:
        then: Accuracy in ``run.json``.
        now: Accuracy of the predictions.
        images: The difference in images.
        tolerance: The largest difference that rounding explains, in images.
    """

    then: float
    now: float
    images: int
    tolerance: int


def accuracy_change(predictions: Predictions, record: RunRecord) -> AccuracyChange | None:
    """Compare the accuracy of a checkpoint with the one in ``run.json``.

    Args:
        predictions: Predictions of the run without test-time augmentation.
        record: Content of its ``run.json``.

    Returns:
        ``None`` if rounding explains the difference, or if nothing was recorded for this epoch and these
        images.
    """
    about, best, n = predictions.about, record.best_metrics, len(predictions)
    is_same = about.role == "val" and not about.other_data and best.get("epoch") == about.epoch
    if not is_same or "val/accuracy" not in best or record.validation_images not in (None, n):
        return None
    now, then = float((predictions.preds == predictions.target).mean()), best["val/accuracy"]
    images, tolerance = round(abs(now - then) * n), rounding_tolerance(predictions.logits, record.precision)
    return AccuracyChange(then, now, images, tolerance) if images > tolerance else None


def rounding_tolerance(logits: np.ndarray, precision: str | None) -> int:
    """Return by how many images the correct predictions of two precisions may differ.

    Only an image whose two largest logits are nearly equal can get another label. The error of their
    difference is about normal, with a standard deviation of at most the spacing of numbers of the size of the
    logits: for bf16, two networks trained on FER2013 had 0.7 of that, and at most 3.3. A label that changes
    makes a prediction right or wrong by chance, so the tolerance is three standard deviations of the sum, and
    at most the number of such images.

    Args:
        logits: float ``(N, K)``, computed in fp32.
        precision: Lightning's precision of the training; ``None`` if unknown, which counts as bf16.
    """
    spacing = _BF16 if precision is None or "bf16" in precision else _HALF
    second, first = np.partition(logits.astype(np.float64), -2, axis=1)[:, -2:].T
    scale = np.maximum(np.abs(logits).max(1) * spacing, np.finfo(np.float64).tiny)
    margins = (first - second) / scale
    near = margins <= _NEAR
    changes = float(norm.sf(margins[near]).sum())
    return min(int(near.sum()), math.ceil(_WIDTH * math.sqrt(changes)))
