"""The report section on training: a diagnosis of the learning curves by fixed rules.

The first rule that matches decides:

* **unstable**: a loss is NaN or infinite.
* **too short**: fewer than `MIN_EPOCHS` epochs were validated.
* **unstable**: validation accuracy drops by more than `MAX_DROP` from one epoch to the next in more than
  `MAX_DROP_FRACTION` of the steps. The first third, with learning rate warm-up, is ignored.
* **overfitting**: at the best epoch, training accuracy is more than `WIDE_GAP` above validation accuracy; or
  the final validation loss is more than `LOSS_RISE` above its minimum while training loss kept falling, the
  generalization loss GL of Prechelt 1998 (https://doi.org/10.1007/3-540-49430-8_3) at its strictest bound.
* **underfitting**: at the best epoch, the two accuracies differ by less than `NARROW_GAP` and training
  accuracy is below `HIGH_ACCURACY`: the model fits its training images no better than new ones.
* **fine**: none of these.

Training metrics are those logged during the epoch: augmented images, dropout on, weights still changing. So
the gap is smaller than with a training split that is scored like validation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer.analysis.metrics.estimate import points
from fer.analysis.plots.style import png_bytes
from fer.analysis.plots.training import plot_learning_curves
from fer.analysis.report.document import Plot, Section, Table
from fer.core.text import agree, counted
from fer.training.run_folder import Rows

# Minimum number of validated epochs for a diagnosis
MIN_EPOCHS = 4
# Drop of accuracy: six standard errors of an accuracy on FER2013's 3,589 validation images
MAX_DROP = 0.05
# Fraction of steps with a drop: a single one in ten can be chance
MAX_DROP_FRACTION = 0.1
# Gaps of accuracy. On FER2013, fast_cnn_wide has a gap of 9 to 14 points at 48 px (accuracy 70 %), and of 17
# at 96 px (72.6 %), with a flat validation loss over ten epochs. A network with an accuracy of 59 % has a gap
# of 1 to 3 points, and a wider one trained longer gains 4 points of accuracy.
WIDE_GAP = 0.10
NARROW_GAP = 0.05
# Training accuracy above which there is little left to fit
HIGH_ACCURACY = 0.90
# Relative rise of the validation loss: GL_5 of Prechelt
LOSS_RISE = 0.05
# Rise of accuracy per epoch that is worth a remark: 2 points in ten more epochs
MIN_SLOPE = 0.002
ADVICE = {
    "unstable": "A lower learning rate, a longer warm-up or larger batches may help.",
    "overfitting": "Stronger augmentation, dropout, weight decay or more data may help.",
    "underfitting": "Longer training, a larger model or less regularization may help.",
}


@dataclass(frozen=True)
class Diagnosis:
    """What the learning curves of a run show.

    Attributes:
        label: ``underfitting``, ``overfitting``, ``unstable``, ``fine`` or ``too short``.
        paragraphs: The reason, and what may help.
        numbers: ``best_epoch``, ``epochs``, ``gap`` (train - val accuracy at the best epoch), ``loss_rise``
            (last validation loss over the minimum, minus 1), ``falls`` (fraction of steps with a drop of
            accuracy), ``slope`` (accuracy per epoch over the last third); ``None`` if it cannot be computed.
    """

    label: str
    paragraphs: list[str]
    numbers: dict[str, Any] = field(default_factory=dict)


def training_section(rows: Rows, monitor: str = "val/accuracy") -> Section:
    """Return the section on the training of a run: the diagnosis, best and last epoch, and the curves."""
    diagnosis = diagnose(rows, monitor)
    best = diagnosis.numbers["best_epoch"]
    title = "Learning curves"
    figure = plot_learning_curves(rows, best, title)
    alt = f"Loss, accuracy and learning rate over {counted(len(rows), 'epoch')}. Diagnosis: {diagnosis.label}"
    caption = "Training metrics are of augmented images during training; validation selected the epoch."
    paragraphs = [f"Diagnosis: {diagnosis.label}.", *diagnosis.paragraphs]
    plot = Plot("learning_curves", png_bytes(figure), alt, caption)
    numbers = {"verdict": diagnosis.label, **diagnosis.numbers}
    return Section("curves", title, paragraphs, [_table(rows, best)], [plot], numbers)


def best_epoch(rows: Rows, monitor: str = "val/accuracy") -> int | None:
    """Return the first epoch with the best ``monitor``; ``None`` if none was validated.

    Losses and calibration errors (``…/loss``, ``…/ece``) are minimized, everything else is maximized.
    """
    sign = -1 if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else 1
    scored = [row for row in rows if math.isfinite(row.get(monitor, math.nan))]
    return int(max(scored, key=lambda row: sign * row[monitor])["epoch"]) if scored else None


def diagnose(rows: Rows, monitor: str = "val/accuracy") -> Diagnosis:
    """Diagnose learning curves by the rules in the docstring of this module.

    Args:
        rows: One per epoch: ``epoch``, ``train/loss``, ``train/accuracy``, ``val/loss``, ``val/accuracy``
            (fractions). Epochs that were not validated lack the last two.
        monitor: Metric that selected the best epoch.
    """
    best = best_epoch(rows, monitor)
    validated = [row for row in rows if "val/accuracy" in row]
    numbers = {"best_epoch": best, "epochs": len(rows), **_measure(validated, best)}
    for row in rows:
        if not all(math.isfinite(row.get(key, 0.0)) for key in ("train/loss", "val/loss")):
            reason = f"A loss is NaN or infinite in epoch {row['epoch']:g}. {ADVICE['unstable']}"
            return Diagnosis("unstable", [reason], numbers)
    if best is None or len(validated) < MIN_EPOCHS:
        epochs = f"{counted(len(validated), 'epoch')} {agree(len(validated), 'was', 'were')}"
        reason = f"Only {epochs} validated; a diagnosis needs at least {MIN_EPOCHS}."
        return Diagnosis("too short", [reason], numbers)
    label, reason = _apply_rules(numbers, next(row for row in rows if row["epoch"] == best))
    return Diagnosis(label, [f"{reason} {ADVICE.get(label, '')}".strip(), *_remarks(numbers)], numbers)


def _measure(rows: Rows, best: int | None) -> dict[str, float | None]:
    """Return gap, rise of the loss, fraction of drops and slope; ``None`` for what cannot be computed."""
    at_best = next((row for row in rows if row.get("epoch") == best), {})
    scores = np.array([row["val/accuracy"] for row in rows])
    after_warmup = scores[len(scores) // 3 :]
    last_third = scores[-max(2, math.ceil(len(scores) / 3)) :]
    has_both = {"train/accuracy", "val/accuracy"} <= at_best.keys()
    return {
        "gap": at_best["train/accuracy"] - at_best["val/accuracy"] if has_both else None,
        "loss_rise": _loss_rise(rows),
        "falls": float((np.diff(after_warmup) < -MAX_DROP).mean()) if len(after_warmup) > 1 else None,
        "slope": float(np.polyfit(range(len(last_third)), last_third, 1)[0]) if len(last_third) > 1 else None,
    }


def _loss_rise(rows: Rows) -> float | None:
    """Return the relative rise of the last validation loss over the minimum.

    0 if training loss did not fall after the minimum; ``None`` if no epoch has both losses.
    """
    known = [row for row in rows if {"train/loss", "val/loss"} <= row.keys()]
    if not known:
        return None
    minimum, last = min(known, key=lambda row: row["val/loss"]), known[-1]
    still_falling = last["train/loss"] < minimum["train/loss"]
    return last["val/loss"] / minimum["val/loss"] - 1 if still_falling and minimum["val/loss"] > 0 else 0.0


def _apply_rules(numbers: Mapping[str, Any], at_best: Mapping[str, float]) -> tuple[str, str]:
    """Return the label of the first rule that matches, and the reason."""
    gap, rise, drops = (numbers[name] for name in ("gap", "loss_rise", "falls"))
    train, val = at_best.get("train/accuracy"), at_best["val/accuracy"]
    accuracies = f"At epoch {numbers['best_epoch']} validation accuracy is {val:.1%}"
    if train is not None:
        accuracies = (
            f"At epoch {numbers['best_epoch']} training accuracy is {train:.1%} and validation accuracy "
            f"{val:.1%}, a gap of {points(abs(train - val))} points"
        )
    if drops is not None and drops > MAX_DROP_FRACTION:
        reason = f"Validation accuracy drops by more than {MAX_DROP:.0%} in {drops:.0%} of the epochs."
        return "unstable", reason
    if gap is not None and gap > WIDE_GAP:
        return "overfitting", f"{accuracies}: the model fits its training images far better than new ones."
    if rise is not None and rise > LOSS_RISE:
        reason = f"The final validation loss is {rise:.0%} above its minimum while training loss kept falling"
        return "overfitting", f"{reason}: the last epochs made the model worse or overconfident."
    if gap is not None and abs(gap) < NARROW_GAP and at_best["train/accuracy"] < HIGH_ACCURACY:
        reason = f"{accuracies}: the model fits its training images hardly better than new ones."
        return "underfitting", reason
    return "fine", f"{accuracies}: the model has learned, and generalizes to new images."


def _remarks(numbers: Mapping[str, Any]) -> list[str]:
    """Return remarks if the gap is not meaningful, and if validation accuracy was still rising."""
    remarks, slope, gap = [], numbers["slope"], numbers["gap"]
    if gap is not None and gap <= -NARROW_GAP:
        remarks.append(
            "Training is harder than validation (augmentation, mixing, dropout), so the gap is not "
            "meaningful."
        )
    if slope is not None and slope > MIN_SLOPE:
        remarks.append(
            f"Over the last third of the epochs, validation accuracy still rose by {points(slope)} points "
            "per epoch."
        )
    return remarks


def _table(rows: Rows, best: int | None) -> Table:
    """Return the metrics of the best and of the last epoch."""
    keys = ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "val/macro_f1")
    named = [("best", row) for row in rows if row["epoch"] == best] + [("last", row) for row in rows[-1:]]
    cells = [(name, int(row["epoch"]), *(row.get(key) for key in keys)) for name, row in named]
    return Table(("", "epoch", *keys), cells, "Accuracies and F1 are fractions.", "best_and_last")
