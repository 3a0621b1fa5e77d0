"""Validation metrics: computed by torchmetrics, logged under fixed names, and one of them monitored.

Imports torch and torchmetrics late, because options are checked before they are loaded (torchmetrics alone
takes seconds).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import LabelSpace

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import MetricCollection

# Metrics with one value per emotion.
PER_EMOTION = ("f1", "precision", "recall")
# Logged names of the metrics of a validation begin with one of these: of all images, and of each emotion.
VALIDATION = ("val/", "val_emotion/")
# The metrics of all images.
OVERALL = tuple(f"val/{name}" for name in ("accuracy", "macro_f1", "uar", "worst_f1", "loss", "ece"))
# Logged name of a mean over emotions -> the metric that is averaged.
MACRO_MEANS = {"macro_f1": "f1", "uar": "recall"}


def build_metrics(num_classes: int) -> "MetricCollection":
    """Return the metrics of one split, to be updated with logits ``(B, K)`` and targets ``(B,)``.

    ``accuracy``; ``ece`` (expected calibration error, 15 bins of equal width, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599); ``f1``, ``precision`` and ``recall`` ``(K,)`` per emotion; and
    ``confusion`` ``(K, K)`` with true emotions in rows. `scalar_metrics` adds their means.
    """
    from torchmetrics import MetricCollection, classification

    k = num_classes
    return MetricCollection(
        {
            "accuracy": classification.MulticlassAccuracy(k, average="micro", validate_args=False),
            "ece": classification.MulticlassCalibrationError(k, n_bins=15, validate_args=False),
            "f1": classification.MulticlassF1Score(k, average="none", validate_args=False),
            "precision": classification.MulticlassPrecision(k, average="none", validate_args=False),
            "recall": classification.MulticlassRecall(k, average="none", validate_args=False),
            "confusion": classification.MulticlassConfusionMatrix(k, validate_args=False),
        }
    )


def scalar_metrics(
    values: "Mapping[str, Tensor]", emotions: Sequence[str], prefix: str
) -> "dict[str, Tensor]":
    """Return the computed metrics by their logged names.

    ``macro_f1`` (mean F1) and ``uar`` (unweighted average recall, also called balanced accuracy) are means
    over the emotions that have an image, as in reports (`fer.analysis.metrics.classification`);
    ``worst_f1`` is the lowest F1 of these emotions. An emotion without images has no entry, rather than 0
    or NaN.

    Returns:
        ``{"val/accuracy": …, "val_emotion/f1/happy": …}`` for the prefix ``"val"``, without the confusion
        matrix.
    """
    present = (values["confusion"].sum(1) > 0).nonzero().flatten().tolist()
    named = {f"{prefix}/{name}": value for name, value in values.items() if value.ndim == 0}
    named |= {f"{prefix}/{mean}": values[name][present].mean() for mean, name in MACRO_MEANS.items()}
    named[f"{prefix}/worst_f1"] = values["f1"][present].min()
    for name in PER_EMOTION:
        named |= {f"{prefix}_emotion/{name}/{emotions[i]}": values[name][i] for i in present}
    return named


def current_name(metric: str) -> str:
    """Return the present name of a metric: older versions wrote ``val/f1/…`` for ``val_emotion/f1/…``."""
    parts = metric.split("/", 2)
    is_old = len(parts) == 3 and parts[0] == "val" and parts[1] in PER_EMOTION
    return f"val_emotion/{parts[1]}/{parts[2]}" if is_old else metric


def current_names(metrics: "Mapping[str, float]") -> dict[str, float]:
    """Return metrics by their present names, see `current_name`."""
    return {current_name(name): value for name, value in metrics.items()}


def monitor_mode(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` if lower is better (losses, calibration errors), otherwise ``"max"``."""
    return "min" if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else "max"


def check_monitor(monitor: object) -> None:
    """Check that the monitor is a validation metric.

    Raises:
        FerError: It is another metric, e.g. of the test split.
    """
    if not isinstance(monitor, str):
        raise FerError(f"monitor: expected a validation metric such as val/accuracy, got {monitor!r}.")
    if monitor.startswith("test/"):
        raise FerError(
            f"monitor: expected a validation metric such as val/accuracy, got {monitor}. The test split must "
            "not select a checkpoint, stop training early or control a schedule."
        )
    prefixes = tuple(f"val_emotion/{name}/" for name in PER_EMOTION)
    if monitor not in OVERALL and not current_name(monitor).startswith(prefixes):
        hint = did_you_mean(monitor, OVERALL)
        raise FerError(
            f"monitor: expected one of {', '.join(OVERALL)} or val_emotion/f1/EMOTION, got {monitor!r}.{hint}"
        )


def check_monitor_emotion(monitor: str, labels: LabelSpace) -> None:
    """Check that a monitored emotion exists in the data, before training starts.

    Raises:
        FerError: The emotion is not in ``labels``.
    """
    emotion, known = monitor.split("/")[-1], labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: expected an emotion of {', '.join(known)}, got {emotion}.{hint}")
