"""Accuracy by slice: emotion, brightness, contrast, sharpness, head pose and copies in the training set.

The accuracy of a slice is compared with that of all other images of the split, within each emotion. So dark
images do not count as hard only because images of fear are darker. Holm's correction is over all slices of a
report.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.exact_tests import holm
from fer.analysis.figure import Estimate
from fer.analysis.image_quality import measure_images, measure_pose
from fer.analysis.images import Images
from fer.analysis.mantel_haenszel import mantel_haenszel
from fer.analysis.paired import ALPHA
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Plot, Section, Table
from fer.analysis.share import format_proportion, proportion
from fer.analysis.slice_plot import plot_slices

# Factor -> names of its lower, middle and upper third
TERTILE_NAMES = {
    "brightness": ("dark", "middle", "bright"),
    "contrast": ("flat", "middle", "high"),
    "sharpness": ("blurred", "middle", "sharp"),
    "turn": ("ahead", "middle", "turned"),
    "tilt": ("upright", "middle", "tilted"),
}
COPY_FACTOR = "copy in train"
LANDMARK_FACTOR = "five points"
NO_LANDMARKS = "There are no facial landmarks for these images, so there are no slices by head pose."
NO_DEMOGRAPHICS = (
    "There are no labels of age, sex or skin colour (FER2013 has none), so accuracy by demographic group is "
    "not known. Such labels are not predicted by another model, as its errors would distort the result."
)


@dataclass(frozen=True)
class Slice:
    """The accuracy on a subset of the images.

    Attributes:
        factor: The property that defines it, e.g. ``"brightness"``.
        name: Its name within the factor, e.g. ``"dark"``.
        accuracy: With Wilson's interval.
        expected: Accuracy expected from its mix of emotions and the recall of each on the whole split; None
            without images.
        p: Two-sided p-value against all other images, corrected by Holm; None where there are too few images.
    """

    factor: str
    name: str
    accuracy: Estimate
    expected: float | None
    p: float | None

    @property
    def differs(self) -> bool:
        """Return whether the slice differs significantly from the other images."""
        return self.p is not None and self.p < ALPHA


# (factor, name) -> images of the slice, bool (N,)
SliceMasks = dict[tuple[str, str], np.ndarray]


def tertiles(factor: str, values: np.ndarray) -> SliceMasks:
    """Return masks of the images in the lower, middle and upper third of ``values``, bool ``(N,)`` each.

    An image without a value (NaN) is in none.
    """
    known = ~np.isnan(values)
    cuts = np.quantile(values[known], [1 / 3, 2 / 3]) if known.any() else np.zeros(2)
    third = np.searchsorted(cuts, values, side="left")
    return {(factor, name): known & (third == i) for i, name in enumerate(TERTILE_NAMES[factor])}


def slice_scores(target: np.ndarray, preds: np.ndarray, masks: SliceMasks) -> list[Slice]:
    """Return the accuracy of each slice, and whether it differs from the other images.

    Args:
        target: int ``(N,)``.
        preds: int ``(N,)``.
        masks: (factor, name) -> bool ``(N,)``. Slices of the factor ``"emotion"`` are compared without
            stratification, all others within each emotion.
    """
    correct = preds == target
    recall = np.bincount(target, weights=correct) / np.maximum(np.bincount(target), 1)
    single_stratum = np.zeros(len(target), np.int64)
    p_values = [
        mantel_haenszel(mask, correct, single_stratum if factor == "emotion" else target)
        for (factor, _), mask in masks.items()
    ]
    corrected = iter(holm([p for p in p_values if p is not None]).tolist())
    return [
        Slice(
            *key,
            proportion(int(correct[mask].sum()), int(mask.sum())),
            float(recall[target[mask]].mean()) if mask.any() else None,
            None if p is None else next(corrected),
        )
        for (key, mask), p in zip(masks.items(), p_values, strict=True)
    ]


def slices_section(
    predictions: Predictions,
    images: Images,
    has_copy: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    landmarks_note: str = NO_LANDMARKS,
) -> Section:
    """Return the section on accuracy by slice.

    Args:
        predictions: Of a split.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
        has_copy: bool ``(N,)``, whether a copy is among the training images; None where not checked.
        landmarks: ``(N, 5, 2)`` as `fer.analysis.image_quality.measure_pose` takes them, or None.
        landmarks_note: Sentence on the source of the landmarks, or on why there are none.
    """
    masks = _slice_masks(predictions, images, has_copy, landmarks)
    slices = slice_scores(predictions.target, predictions.preds, masks)
    overall = proportion(int((predictions.preds == predictions.target).sum()), len(predictions))
    not_checked = [] if has_copy is not None else ["Copies of training images were not searched for."]
    paragraphs = [
        _summary(slices),
        *_copies_paragraph(slices, bool(predictions.about.get("other_data"))),
        *not_checked,
        landmarks_note,
        NO_DEMOGRAPHICS,
    ]
    plot = Plot(
        "slices",
        png_bytes(plot_slices(slices, overall)),
        "Accuracy of each slice with its interval",
        f"95 % intervals. The dashed line is the accuracy on all {len(predictions):,} images.",
    )
    numbers = {"slices": [_numbers(one) for one in slices]}
    return Section("slices", "Accuracy by slice", paragraphs, [_table(slices)], [plot], numbers)


def _slice_masks(
    predictions: Predictions, images: Images, has_copy: np.ndarray | None, landmarks: np.ndarray | None
) -> SliceMasks:
    emotions = enumerate(predictions.labels.names)
    masks: SliceMasks = {("emotion", name): predictions.target == number for number, name in emotions}
    for factor, values in measure_images(images).items():
        masks |= tertiles(factor, values)
    if landmarks is not None:
        masks |= _pose_masks(landmarks)
    if has_copy is not None:
        masks |= {(COPY_FACTOR, "yes"): has_copy, (COPY_FACTOR, "no"): ~has_copy}
    return masks


def _pose_masks(landmarks: np.ndarray) -> SliceMasks:
    """Return tertiles of turn and tilt, and one slice of the faces without landmarks."""
    pose = measure_pose(landmarks)
    known = ~np.isnan(pose["turn"])
    masks: SliceMasks = {}
    if known.any():
        for factor, values in pose.items():
            masks |= tertiles(factor, np.where(known, values, np.nan))
    return masks if known.all() else {**masks, (LANDMARK_FACTOR, "not found"): ~known}


def _factor_names(slices: list[Slice]) -> str:
    """Return the names of the measured factors; head pose only where there are landmarks."""
    by_pose = any(one.factor == "turn" for one in slices)
    return (
        "brightness, contrast, sharpness and head pose" if by_pose else "brightness, contrast and sharpness"
    )


def _summary(slices: list[Slice]) -> str:
    differing = [one for one in slices if one.differs and one.factor not in ("emotion", COPY_FACTOR)]
    if not differing:
        return f"No slice by {_factor_names(slices)} differs significantly from the other images."
    ranked = sorted(differing, key=lambda one: (one.accuracy.value or 0) - (one.expected or 0))
    parts = [f"{one.factor} {one.name}: {format_proportion(one.accuracy)}" for one in ranked]
    return (
        "These slices differ significantly from the other images of the same emotions, the weakest first: "
        f"{'; '.join(parts)}."
    )


def _copies_paragraph(slices: list[Slice], other_data: bool) -> list[str]:
    """Return a paragraph on images with a copy in the training set; none where copies were not checked."""
    kind = "an exact copy (near copies were not searched for)" if other_data else "an exact or near copy"
    by_name = {one.name: one for one in slices if one.factor == COPY_FACTOR}
    if not by_name:
        return []
    copied, others = by_name["yes"], by_name["no"]
    if not copied.accuracy.n:
        return [f"No image has {kind} in the training set."]
    significance = "a significant difference" if copied.differs else "not a significant difference"
    return [
        f"{copied.accuracy.n:,} images have {kind} in the training set. The accuracy is "
        f"{format_proportion(copied.accuracy)} on these and {format_proportion(others.accuracy)} on the "
        f"others, {significance}."
    ]


def _table(slices: list[Slice]) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            f"{one.factor}: {one.name}",
            one.accuracy.n,
            format_proportion(one.accuracy),
            None if one.expected is None else f"{100 * one.expected:.1f} %",
            None if one.p is None else ("< 0.001" if one.p < 0.001 else f"{one.p:.3f}"),
            "yes" if one.differs else "no" if one.p is not None else "too few",
        )
        for one in slices
    ]
    columns = ("slice", "images", "accuracy (95 %)", "expected from emotions", "p (Holm)", "differs")
    caption = (
        f"Slices by {_factor_names(slices)} are thirds of this split. Each slice is tested against all other "
        "images, within emotions (Mantel-Haenszel test)."
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
