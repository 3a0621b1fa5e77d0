"""The figures that judge a classifier, computed by torchmetrics over a whole split."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

PER_EMOTION = ("f1", "precision", "recall")


def build_metrics(num_classes: int) -> MetricCollection:
    """Return the metrics of one split, fed with logits ``(B, K)`` and targets ``(B,)``.

    ``accuracy``; ``macro_f1`` (mean F1 of the emotions); ``uar`` (unweighted average recall, also called
    balanced accuracy); ``ece`` (expected calibration error, 15 bins of equal width, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599); ``f1``, ``precision`` and ``recall`` ``(K,)`` of each emotion; and
    ``confusion`` ``(K, K)``, true emotions in rows. Means leave out an emotion that neither occurs nor is
    predicted.
    """
    k = num_classes
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(k, average="micro", validate_args=False),
            "macro_f1": MulticlassF1Score(k, average="macro", validate_args=False),
            "uar": MulticlassRecall(k, average="macro", validate_args=False),
            "ece": MulticlassCalibrationError(k, n_bins=15, validate_args=False),
            "f1": MulticlassF1Score(k, average="none", validate_args=False),
            "precision": MulticlassPrecision(k, average="none", validate_args=False),
            "recall": MulticlassRecall(k, average="none", validate_args=False),
            "confusion": MulticlassConfusionMatrix(k, validate_args=False),
        }
    )


def scalars(values: Mapping[str, Tensor], emotions: Sequence[str], prefix: str) -> dict[str, Tensor]:
    """Name the computed metrics as they are logged.

    Returns:
        ``{"val/accuracy": …, "val/f1/happy": …}`` for the prefix ``"val"``; the confusion matrix is left out.
    """
    named = {f"{prefix}/{name}": value for name, value in values.items() if value.ndim == 0}
    for name in PER_EMOTION:
        named |= {f"{prefix}/{name}/{emotion}": values[name][i] for i, emotion in enumerate(emotions)}
    return named
