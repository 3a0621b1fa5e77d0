"""Validation metrics: computed by torchmetrics, logged under fixed names, and one of them monitored.

Imports torch and torchmetrics late, because options are checked before they are loaded (torchmetrics alone
takes seconds).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import LabelSpace
from fer.core.plugins import failures, load_installed
from fer.core.registry import METRICS, Entry
from fer.core.signature import accepted

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import Metric, MetricCollection

# Metrics with one value per emotion.
PER_EMOTION = ("f1", "precision", "recall")
# Logged names of the metrics of a validation begin with one of these: of all images, of each emotion, and of
# each source.
VALIDATION = ("val/", "val_emotion/", "val_source/")
# The metrics of all images, and whether lower or higher is better. Those of torchmetrics have arguments, the
# others are computed by the module and `scalar_metrics`. Metrics with one value per emotion have no mode.
_CLASSES, _OTHER = "torchmetrics.classification:Multiclass", "fer.training.metrics:scalar_metrics"
METRICS.add("accuracy", f"{_CLASSES}Accuracy", mode="max", arguments={"average": "micro"})
METRICS.add("macro_f1", _OTHER, mode="max")
METRICS.add("uar", _OTHER, mode="max")
METRICS.add("worst_f1", _OTHER, mode="max")
METRICS.add("loss", _OTHER, mode="min")
METRICS.add("ece", f"{_CLASSES}CalibrationError", mode="min", arguments={"n_bins": 15})
OVERALL = tuple(f"val/{name}" for name in METRICS.names())
METRICS.add("f1", f"{_CLASSES}F1Score", arguments={"average": "none"})
METRICS.add("precision", f"{_CLASSES}Precision", arguments={"average": "none"})
METRICS.add("recall", f"{_CLASSES}Recall", arguments={"average": "none"})
METRICS.add("confusion", f"{_CLASSES}ConfusionMatrix", arguments={})
# Metrics of the training part of an epoch: known at its end only, after its validation.
TRAINING: dict[str, Literal["min", "max"]] = {"train/loss": "min", "train/accuracy": "max"}
# Logged name of a mean over emotions -> the metric that is averaged.
MACRO_MEANS = {"macro_f1": "f1", "uar": "recall"}


def build_metrics(num_classes: int, emotions: Sequence[str] = ()) -> "MetricCollection":
    """Return the metrics of one split, to be updated with logits ``(B, K)`` and targets ``(B,)``.

    ``accuracy``; ``ece`` (expected calibration error, 15 bins of equal width, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599); ``f1``, ``precision`` and ``recall`` ``(K,)`` per emotion; and
    ``confusion`` ``(K, K)`` with true emotions in rows. `scalar_metrics` adds their means. Metrics that
    plugins have registered follow.

    Raises:
        FerError: What a plugin has registered returns no metric.
    """
    from torchmetrics import MetricCollection

    load_installed()
    built: dict[str, Metric | MetricCollection] = {}
    for entry in METRICS:
        if (arguments := entry.facts.get("arguments")) is not None:
            built[entry.name] = entry.build(num_classes, validate_args=False, **arguments)
    facts = {"num_classes": num_classes, "emotions": tuple(emotions)}
    return MetricCollection(built | {entry.name: _registered(entry, facts) for entry in METRICS.plugins()})


def _registered(entry: Entry, facts: "Mapping[str, Any]") -> "Metric":
    from torchmetrics import Metric

    built = entry.build(**accepted(entry.build, facts))
    if not isinstance(built, Metric):
        raise FerError(
            f"metric {entry.name}: expected {entry.origin} to return a torchmetrics.Metric, got a "
            f"{type(built).__name__}."
        )
    return built


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
    for entry in METRICS.plugins():
        if entry.name in values and values[entry.name].ndim:
            shape = tuple(values[entry.name].shape)
            raise FerError(f"metric {entry.name}: expected a scalar, got the shape {shape}. Average it.")
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


def best_name(metric: str) -> str:
    """Return the name of a metric of the best epoch in W&B: ``best/accuracy``, ``best/f1/happy``."""
    return f"best/{metric.removeprefix('val_emotion/').removeprefix('val/')}"


def monitor_mode(monitor: str) -> Literal["min", "max"]:
    """Return ``"min"`` if lower is better (losses, calibration errors), otherwise ``"max"``."""
    if monitor in TRAINING:
        return TRAINING[monitor]
    entry = METRICS.find(monitor.removeprefix("val/")) if monitor.startswith("val/") else None
    mode: Literal["min", "max"] = entry.facts.get("mode", "max") if entry is not None else "max"
    return mode


def is_known_after_validation(monitor: str) -> bool:
    """Return whether a metric has its value at the end of an epoch only: ``train/…``, ``perf/…``, ``lr``."""
    return monitor.startswith(("train/", "perf/")) or monitor == "lr"


def check_monitor(monitor: object, mode: str | None = None) -> None:
    """Check that the monitor is a metric that is logged, and not one of the test split.

    Args:
        monitor: Its name: a metric of this package or of a plugin, or with ``mode`` any one that is logged,
            which is checked at the first validation or at the end of the first epoch.
        mode: The ``monitor_mode`` of the config.

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
    if monitor in OVERALL or monitor in TRAINING or current_name(monitor).startswith(prefixes):
        return
    entry = METRICS.find(monitor.removeprefix("val/")) if monitor.startswith("val/") else None
    if mode is None and (entry is None or entry.is_builtin):
        known = [*OVERALL, *TRAINING, *(f"val/{entry.name}" for entry in METRICS.plugins())]
        hint = did_you_mean(monitor, known)
        raise FerError(
            f"monitor: expected one of {', '.join(known)} or val_emotion/f1/EMOTION, got {monitor!r}.{hint} "
            f"If it is logged, by a callback or as lr or perf/…, add monitor_mode=max or min.{failures()}"
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
