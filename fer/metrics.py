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
MEANS = {"macro_f1": "f1", "uar": "recall"}


def build_metrics(num_classes: int) -> MetricCollection:
    """Return the metrics of one split, fed with logits ``(B, K)`` and targets ``(B,)``.

    ``accuracy``; ``ece`` (expected calibration error, 15 bins of equal width, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599); ``f1``, ``precision`` and ``recall`` ``(K,)`` of each emotion; and
    ``confusion`` ``(K, K)``, true emotions in rows. Their means are in `scalars`.
    """
    k = num_classes
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(k, average="micro", validate_args=False),
            "ece": MulticlassCalibrationError(k, n_bins=15, validate_args=False),
            "f1": MulticlassF1Score(k, average="none", validate_args=False),
            "precision": MulticlassPrecision(k, average="none", validate_args=False),
            "recall": MulticlassRecall(k, average="none", validate_args=False),
            "confusion": MulticlassConfusionMatrix(k, validate_args=False),
        }
    )


def scalars(values: Mapping[str, Tensor], emotions: Sequence[str], prefix: str) -> dict[str, Tensor]:
    """Name the computed metrics as they are logged.

    ``macro_f1`` (mean F1) and ``uar`` (unweighted average recall, also called balanced accuracy) are means
    over the emotions that have an image, as in reports (`fer.analysis.count_scores`). One that has none is
    neither 0 nor NaN but absent.

    Returns:
        ``{"val/accuracy": …, "val/f1/happy": …}`` for the prefix ``"val"``; the confusion matrix is left out.
    """
    present = (values["confusion"].sum(1) > 0).nonzero().flatten().tolist()
    named = {f"{prefix}/{name}": value for name, value in values.items() if value.ndim == 0}
    named |= {f"{prefix}/{mean}": values[name][present].mean() for mean, name in MEANS.items()}
    for name in PER_EMOTION:
        named |= {f"{prefix}/{name}/{emotions[i]}": values[name][i] for i in present}
    return named
