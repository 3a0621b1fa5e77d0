"""Accuracy by light, sharpness, copies in train, pose and emotion, and what differs beyond chance.

A slice is compared with all other images of the same split, emotion by emotion, so that dark images are not
called hard because frightened faces are darker. Holm's correction is over all slices of the report.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.exact_tests import holm
from fer.analysis.figure import Figure
from fer.analysis.image_quality import measure_images, measure_pose
from fer.analysis.images import Images
from fer.analysis.mantel_haenszel import mantel_haenszel
from fer.analysis.paired import ALPHA
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Picture, Section, Table
from fer.analysis.share import in_words, share
from fer.analysis.slice_plot import plot_slices

THIRDS = {
    "brightness": ("dark", "middle", "bright"),
    "contrast": ("flat", "middle", "high"),
    "sharpness": ("blurred", "middle", "sharp"),
    "turn": ("ahead", "middle", "turned"),
    "tilt": ("upright", "middle", "tilted"),
}
COPY = "copy in train"
POINTS = "five points"
NO_LANDMARKS = "There are no facial landmarks for these images, so none is sliced by head pose."
NO_PERSON = (
    "No label of age, sex or skin colour was given (FER2013 has none), so accuracy by groups of people "
    "cannot be told. None was guessed: another model's guess would bring that model's errors with it."
)
_EXACT_OR_NEAR = "an exact or near copy"


@dataclass(frozen=True)
class Slice:
    """The accuracy on a part of the images.

    Attributes:
        factor: What the images were parted by, e.g. ``"brightness"``.
        name: Which part, e.g. ``"dark"``.
        accuracy: With Wilson's interval.
        expected: Accuracy that the slice's mix of emotions would have at the recall of the whole split; None
            without an image.
        p: Two-sided, against all other images, corrected by Holm; None where images are too few.
    """

    factor: str
    name: str
    accuracy: Figure
    expected: float | None
    p: float | None

    @property
    def differs(self) -> bool:
        """Return whether the slice differs from the rest by more than chance."""
        return self.p is not None and self.p < ALPHA


Parts = dict[tuple[str, str], np.ndarray]


def thirds(factor: str, values: np.ndarray) -> Parts:
    """Return which images are in the lower, middle and upper third, bool ``(N,)`` each.

    An image without a value (NaN) is in none.
    """
    known = ~np.isnan(values)
    cuts = np.quantile(values[known], [1 / 3, 2 / 3]) if known.any() else np.zeros(2)
    third = np.searchsorted(cuts, values, side="left")
    return {(factor, name): known & (third == i) for i, name in enumerate(THIRDS[factor])}


def slice_scores(target: np.ndarray, preds: np.ndarray, parts: Parts) -> list[Slice]:
    """Return the accuracy on each part, and whether it differs from the rest.

    Args:
        target: int ``(N,)``.
        preds: int ``(N,)``.
        parts: (factor, name) -> bool ``(N,)``. Parts of the factor ``"emotion"`` are compared with the rest
            as they are, all others emotion by emotion.
    """
    right = preds == target
    recall = np.bincount(target, weights=right) / np.maximum(np.bincount(target), 1)
    together = np.zeros(len(target), np.int64)
    found = [
        mantel_haenszel(rows, right, together if factor == "emotion" else target)
        for (factor, _), rows in parts.items()
    ]
    corrected = iter(holm([p for p in found if p is not None]).tolist())
    return [
        Slice(
            *key,
            share(int(right[rows].sum()), int(rows.sum())),
            float(recall[target[rows]].mean()) if rows.any() else None,
            None if p is None else next(corrected),
        )
        for (key, rows), p in zip(parts.items(), found, strict=True)
    ]


def section(
    predictions: Predictions,
    images: Images,
    has_copy: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    on_landmarks: str = NO_LANDMARKS,
) -> Section:
    """Return the chapter on slices.

    Args:
        predictions: Of a split.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
        has_copy: bool ``(N,)``, whether an exact or near copy is among the training images, or None.
        landmarks: ``(N, 5, 2)`` as `fer.analysis.image_quality.measure_pose` takes them, or None.
        on_landmarks: Who found them on how many faces, or why there are none: a sentence.
    """
    parts = _parts(predictions, images, has_copy, landmarks)
    found = slice_scores(predictions.target, predictions.preds, parts)
    overall = share(int((predictions.preds == predictions.target).sum()), len(predictions))
    missing = [] if has_copy is not None else ["Copies of training images were not looked for."]
    words = [
        _in_words(found),
        *_on_copies(found, bool(predictions.about.get("other_data"))),
        *missing,
        on_landmarks,
        NO_PERSON,
    ]
    picture = Picture(
        "slices",
        png_bytes(plot_slices(found, overall)),
        "Accuracy and its interval for each slice",
        f"95 % intervals; the line is the accuracy on all {len(predictions):,} images.",
    )
    numbers = {"slices": [_numbers(one) for one in found]}
    return Section("slices", "Where it is weaker", words, [_table(found)], [picture], numbers)


def _parts(
    predictions: Predictions, images: Images, has_copy: np.ndarray | None, landmarks: np.ndarray | None
) -> Parts:
    emotions = enumerate(predictions.labels.names)
    parts: Parts = {("emotion", name): predictions.target == number for number, name in emotions}
    for factor, values in measure_images(images).items():
        parts |= thirds(factor, values)
    if landmarks is not None:
        parts |= _pose_parts(landmarks)
    if has_copy is not None:
        parts |= {(COPY, "yes"): has_copy, (COPY, "no"): ~has_copy}
    return parts


def _pose_parts(landmarks: np.ndarray) -> Parts:
    """Return thirds by turn and by tilt, and once for both the faces that have neither."""
    pose = measure_pose(landmarks)
    known = ~np.isnan(pose["turn"])
    parts: Parts = {}
    if known.any():
        for factor, values in pose.items():
            parts |= thirds(factor, np.where(known, values, np.nan))
    return parts if known.all() else {**parts, (POINTS, "not found"): ~known}


def _measured(found: list[Slice]) -> str:
    """Name what the images were parted by, as far as it was measured."""
    by_pose = any(one.factor == "turn" for one in found)
    return "light, contrast, sharpness and head pose" if by_pose else "light, contrast and sharpness"


def _in_words(found: list[Slice]) -> str:
    other = [one for one in found if one.differs and one.factor not in ("emotion", COPY)]
    if not other:
        return f"By {_measured(found)} no slice differs from the other images beyond chance."
    ranked = sorted(other, key=lambda one: (one.accuracy.value or 0) - (one.expected or 0))
    told = [f"{one.factor} {one.name}: {in_words(one.accuracy)}" for one in ranked]
    return (
        "These slices differ from the other images of the same emotions beyond chance, the weakest first: "
        f"{'; '.join(told)}."
    )


def _on_copies(found: list[Slice], other_data: bool) -> list[str]:
    """Say what images that the model may know from training do to the accuracy."""
    kind = "a copy of the very pixels (near copies were not looked for)" if other_data else _EXACT_OR_NEAR
    by_name = {one.name: one for one in found if one.factor == COPY}
    if not by_name:
        return []
    copied, others = by_name["yes"], by_name["no"]
    if not copied.accuracy.n:
        return [f"No image has {kind} in train."]
    beyond = "a difference beyond chance" if copied.differs else "which may be chance"
    return [
        f"{copied.accuracy.n:,} images have {kind} in train: accuracy is "
        f"{in_words(copied.accuracy)} on these and {in_words(others.accuracy)} on the others, {beyond}."
    ]


def _table(found: list[Slice]) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            f"{one.factor}: {one.name}",
            one.accuracy.n,
            in_words(one.accuracy),
            None if one.expected is None else f"{100 * one.expected:.1f} %",
            None if one.p is None else ("< 0.001" if one.p < 0.001 else f"{one.p:.3f}"),
            "yes" if one.differs else "no" if one.p is not None else "too few",
        )
        for one in found
    ]
    columns = ("slice", "images", "accuracy (95 %)", "expected of its emotions", "p (Holm)", "differs")
    caption = (
        f"By {_measured(found)} the images are parted into thirds of this split. Each slice is tested "
        "against all other images, within emotions (Mantel-Haenszel)."
    )
    return Table(columns, rows, caption)


def _numbers(one: Slice) -> dict[str, Any]:
    return {
        "factor": one.factor,
        "name": one.name,
        "accuracy": one.accuracy,
        "expected": one.expected,
        "p_holm": one.p,
        "differs": one.differs,
    }
