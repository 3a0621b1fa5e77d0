"""Learning curves read in words: underfitting, overfitting, unstable or fine, by rules that can be checked.

The rules, the first that holds counts:

* **too short**: fewer than `MIN_EPOCHS` epochs were validated.
* **unstable**: a loss is not a number, or validation accuracy falls by more than `FALL` from one epoch to
  the next in more than `FALL_SHARE` of the steps; the first third, where rates warm up, is left out.
* **overfitting**: at the best epoch training accuracy is more than `WIDE_GAP` above validation; or after it
  validation loss ends more than `LOSS_RISE` above its minimum while training loss went on falling, the
  generalisation loss GL of Prechelt 1998 (https://doi.org/10.1007/3-540-49430-8_3) at his strictest bound.
* **underfitting**: at the best epoch the two accuracies are less than `NARROW_GAP` apart and training is not
  above `LEARNED`: the model knows the images that it was trained on no better than others.
* **fine**: none of these.

Training figures are those of the epoch itself: augmented images, dropout on, weights still moving. So the gap
to a training split that is scored like validation is wider than the one read here.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.plots import plot_learning_curves, png_bytes
from fer.analysis.section import Picture, Section, Table
from fer.errors import FerError

MIN_EPOCHS = 4  # fewer points make no curve
FALL = 0.05  # six standard errors of an accuracy on FER2013's 3,589 validation images
FALL_SHARE = 0.1  # one bad epoch in ten is bad luck
# On FER2013 `fast_cnn_wide` ends 9 to 14 points apart at 48 px (70 %), and 17 at 96 px (72.6 %), where its
# validation loss had been flat for ten epochs; a net of 59 % 1 to 3, and a wider one trained longer gains 4.
WIDE_GAP = 0.10
NARROW_GAP = 0.05
LEARNED = 0.90  # above it there is little left to fit
LOSS_RISE = 0.05  # Prechelt's GL_5
RISING = 0.002  # accuracy an epoch: 2 points in ten further epochs

ADVICE = {
    "unstable": "A lower learning rate, a longer warm-up or larger batches may help.",
    "overfitting": "Stronger augmentation, dropout, weight decay or more data may help.",
    "underfitting": "Longer training, a larger model or less regularisation may help.",
}

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Reading:
    """What the curves of a run say.

    Attributes:
        verdict: ``underfitting``, ``overfitting``, ``unstable``, ``fine`` or ``too short``.
        words: Why, and what may help.
        numbers: ``best_epoch``, ``epochs``, ``gap`` (train - val accuracy at the best epoch), ``loss_rise``
            (last validation loss over the least, minus 1), ``falls`` (share of steps), ``slope`` (accuracy an
            epoch over the last third); a figure that cannot be had is ``None``.
    """

    verdict: str
    words: list[str]
    numbers: dict[str, Any] = field(default_factory=dict)


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Read a run's ``metrics.csv``; a figure that an epoch lacks is not in its row.

    Raises:
        FerError: The file is missing or no table of numbers.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except OSError as error:
        why = error.strerror
        raise FerError(f"{path}: cannot be read ({why}). fer-train writes it as RUN/metrics.csv.") from error
    except (ValueError, TypeError) as error:
        raise FerError(f"{path}: expected the epochs of fer-train as numbers, but {error}.") from error


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if value}


def best_epoch(rows: Rows, monitor: str = "val/accuracy") -> int | None:
    """Return the epoch with the best ``monitor``, the earlier of equals; ``None`` where none was validated.

    Of losses and calibration errors (``…/loss``, ``…/ece``) the least is the best.
    """
    sign = -1 if monitor.rsplit("/", 1)[-1] in ("loss", "ece") else 1
    scored = [row for row in rows if math.isfinite(row.get(monitor, math.nan))]
    return int(max(scored, key=lambda row: sign * row[monitor])["epoch"]) if scored else None


def read_curves(rows: Rows, monitor: str = "val/accuracy") -> Reading:
    """Say what the curves show, by the rules above.

    Args:
        rows: One of each epoch: ``epoch``, ``train/loss``, ``train/accuracy``, ``val/loss``,
            ``val/accuracy`` (fractions). Epochs that were not validated lack the last two.
        monitor: What chose the best epoch.
    """
    best = best_epoch(rows, monitor)
    validated = [row for row in rows if "val/accuracy" in row]
    numbers = {"best_epoch": best, "epochs": len(rows), **_measure(validated, best)}
    broken = [f"{row['epoch']:g}" for row in rows if not _losses_are_finite(row)]
    if broken:
        why = f"A loss of epoch {broken[0]} is not a number. {ADVICE['unstable']}"
        return Reading("unstable", [why], numbers)
    if best is None or len(validated) < MIN_EPOCHS:
        why = f"{len(validated)} validated epochs are too few to read a curve from; {MIN_EPOCHS} are needed."
        return Reading("too short", [why], numbers)
    verdict, why = _judge(numbers, next(row for row in rows if row["epoch"] == best))
    return Reading(verdict, [f"{why} {ADVICE.get(verdict, '')}".strip(), *_outlook(numbers)], numbers)


def section(rows: Rows, monitor: str = "val/accuracy", title: str = "Learning curves") -> Section:
    """Return the chapter on a run's training: the reading, best and last epoch, and the picture."""
    reading = read_curves(rows, monitor)
    best = reading.numbers["best_epoch"]
    figure = plot_learning_curves(rows, best, title)
    alt = f"Loss, accuracy and learning rate over {len(rows)} epochs: {reading.verdict}"
    caption = "Training figures are of augmented images as they were trained on; validation chose the epoch."
    words = [f"Reading: {reading.verdict}.", *reading.words]
    picture = Picture("learning_curves", png_bytes(figure), alt, caption)
    numbers = {"verdict": reading.verdict, **reading.numbers}
    return Section("curves", "Learning curves", words, [_table(rows, best)], [picture], numbers)


def _losses_are_finite(row: Mapping[str, float]) -> bool:
    return all(math.isfinite(row.get(key, 0.0)) for key in ("train/loss", "val/loss"))


def _measure(rows: Rows, best: int | None) -> dict[str, float | None]:
    """Return gap, rise of the loss, share of falls and slope, ``None`` for those that cannot be had."""
    at_best = next((row for row in rows if row.get("epoch") == best), {})
    scores = np.array([row["val/accuracy"] for row in rows])
    late = scores[len(scores) // 3 :]
    third = scores[-max(2, math.ceil(len(scores) / 3)) :]
    is_scored = {"train/accuracy", "val/accuracy"} <= at_best.keys()
    return {
        "gap": at_best["train/accuracy"] - at_best["val/accuracy"] if is_scored else None,
        "loss_rise": _loss_rise(rows),
        "falls": float((np.diff(late) < -FALL).mean()) if len(late) > 1 else None,
        "slope": float(np.polyfit(range(len(third)), third, 1)[0]) if len(third) > 1 else None,
    }


def _loss_rise(rows: Rows) -> float | None:
    """Return how far the last validation loss is above the least; 0 where training loss fell no further."""
    known = [row for row in rows if {"train/loss", "val/loss"} <= row.keys()]
    if not known:
        return None
    least, last = min(known, key=lambda row: row["val/loss"]), known[-1]
    goes_on = last["train/loss"] < least["train/loss"]
    return last["val/loss"] / least["val/loss"] - 1 if goes_on and least["val/loss"] > 0 else 0.0


def _judge(numbers: Mapping[str, Any], at_best: Mapping[str, float]) -> tuple[str, str]:
    """Return the verdict of the first rule that holds, and why."""
    gap, rise, falls = (numbers[name] for name in ("gap", "loss_rise", "falls"))
    both = f"At epoch {numbers['best_epoch']} {_both(at_best)}"
    if falls is not None and falls > FALL_SHARE:
        return "unstable", f"Validation accuracy falls by more than {FALL:.0%} in {falls:.0%} of the epochs."
    if gap is not None and gap > WIDE_GAP:
        return "overfitting", f"{both}: the model knows its training images far better than new ones."
    if rise is not None and rise > LOSS_RISE:
        why = f"Validation loss ended {rise:.0%} above its least while training loss fell on"
        return "overfitting", f"{why}: the last epochs made the model worse, or too sure of itself."
    if gap is not None and abs(gap) < NARROW_GAP and at_best["train/accuracy"] < LEARNED:
        return "underfitting", f"{both}: the model hardly knows its training images better than new ones."
    return "fine", f"{both}: the model has learned, and what it learned holds on new images."


def _both(row: Mapping[str, float]) -> str:
    """Say both accuracies of an epoch and how far they are apart."""
    if "train/accuracy" not in row:
        return f"validation accuracy is {row['val/accuracy']:.1%}"
    train, val = row["train/accuracy"], row["val/accuracy"]
    return f"training accuracy is {train:.1%} and validation {val:.1%}, {_points(train - val)} apart"


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points"


def _outlook(numbers: Mapping[str, Any]) -> list[str]:
    """Say where the gap cannot be read, and where validation was still rising."""
    words, slope, gap = [], numbers["slope"], numbers["gap"]
    if gap is not None and gap <= -NARROW_GAP:
        words.append("Training is the harder of the two (augmentation, mixing, dropout): no gap can be read.")
    if slope is not None and slope > RISING:
        words.append(f"Over the last third of the epochs validation still rose by {_points(slope)} an epoch.")
    return words


def _table(rows: Rows, best: int | None) -> Table:
    """Return the figures of the best and of the last epoch."""
    keys = ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "val/macro_f1")
    shown = [("best", row) for row in rows if row["epoch"] == best] + [("last", row) for row in rows[-1:]]
    cells = [(name, int(row["epoch"]), *(row.get(key) for key in keys)) for name, row in shown]
    return Table(("", "epoch", *keys), cells, "Accuracies and F1 are fractions.")
