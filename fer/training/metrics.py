"""Classification metrics over a complete split, computed by torchmetrics, and their logged names.

The direction of a monitored metric is in `fer.training.monitor`.
"""

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

# Metrics with one value per emotion.
PER_EMOTION = ("f1", "precision", "recall")
# Logged name of a mean over emotions -> the metric that is averaged.
MACRO_MEANS = {"macro_f1": "f1", "uar": "recall"}


def build_metrics(num_classes: int) -> MetricCollection:
    """Return the metrics of one split, to be updated with logits ``(B, K)`` and targets ``(B,)``.

    ``accuracy``; ``ece`` (expected calibration error, 15 bins of equal width, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599); ``f1``, ``precision`` and ``recall`` ``(K,)`` per emotion; and
    ``confusion`` ``(K, K)`` with true emotions in rows. `scalar_metrics` adds their means.
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


def scalar_metrics(values: Mapping[str, Tensor], emotions: Sequence[str], prefix: str) -> dict[str, Tensor]:
    """Return the computed metrics by their logged names.

    ``macro_f1`` (mean F1) and ``uar`` (unweighted average recall, also called balanced accuracy) are means
    over the emotions that have an image, as in reports (`fer.analysis.metrics.classification`). An
    emotion without images has no entry, rather than 0 or NaN.

    Returns:
        ``{"val/accuracy": …, "val/f1/happy": …}`` for the prefix ``"val"``, without the confusion matrix.
    """
    present = (values["confusion"].sum(1) > 0).nonzero().flatten().tolist()
    named = {f"{prefix}/{name}": value for name, value in values.items() if value.ndim == 0}
    named |= {f"{prefix}/{mean}": values[name][present].mean() for mean, name in MACRO_MEANS.items()}
    for name in PER_EMOTION:
        named |= {f"{prefix}/{name}/{emotions[i]}": values[name][i] for i in present}
    return named
