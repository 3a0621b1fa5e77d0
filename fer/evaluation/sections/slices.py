"""The report section on accuracy by slice: emotion, image quality, head pose and copies in train."""

import numpy as np

from fer.analysis.metrics.estimate import format_proportion, proportion
from fer.analysis.metrics.slices import (
    COPY_FACTOR,
    EMOTION_FACTOR,
    Slice,
    SliceMasks,
    measure_images,
    measure_pose,
    slice_scores,
    tertiles,
)
from fer.analysis.plots.comparison import plot_slices
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.core.text import agree, counted, percent
from fer.evaluation.faces import NO_FACE

# Factor of the slice of faces without landmarks
LANDMARK_FACTOR = "five points"
NO_DEMOGRAPHICS = (
    "There are no labels of age, sex or skin colour (FER2013 has none), so accuracy by demographic group is "
    "not known. Such labels are not predicted by another model, as its errors would distort the result."
)


def slices_section(
    predictions: Predictions,
    images: Images,
    has_copy: np.ndarray | None,
    landmarks: np.ndarray | None,
    landmarks_note: str,
) -> Section:
    """Return the section on accuracy by slice.

    Args:
        predictions: Of a split.
        images: Of the predictions, in their order.
        has_copy: bool ``(N,)``, whether a copy is among the training images; None if not searched for.
        landmarks: ``(N, 5, 2)``, NaN without a face (`fer.analysis.metrics.slices.measure_pose`), or None.
        landmarks_note: Sentence on the source of the landmarks, or on why there are none.
    """
    masks = _slice_masks(predictions, images, has_copy, landmarks)
    slices = slice_scores(predictions.target, predictions.preds, masks)
    overall = proportion(int((predictions.preds == predictions.target).sum()), len(predictions))
    copies = _copies_paragraph(slices, predictions.about.other_data)
    paragraphs = [_summary(slices), copies, landmarks_note, NO_DEMOGRAPHICS]
    plot = Plot(
        "slices",
        png_bytes(plot_slices(slices, overall)),
        "Accuracy of each slice with its interval",
        f"95 % intervals. The dashed line is the accuracy on all {len(predictions):,} images.",
    )
    names = ("factor", "name", "accuracy", "expected", "excess", "p_holm", "differs")
    numbers = {"slices": [{name: getattr(one, name) for name in names} for one in slices]}
    return Section("slices", "Accuracy by slice", paragraphs, [_table(slices)], [plot], numbers)


def _slice_masks(
    predictions: Predictions, images: Images, has_copy: np.ndarray | None, landmarks: np.ndarray | None
) -> SliceMasks:
    emotions = [item for item in enumerate(predictions.labels.names) if item[1] != NO_FACE]
    masks: SliceMasks = {(EMOTION_FACTOR, name): predictions.target == number for number, name in emotions}
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
    """Return the names of the measured factors as text; head pose only if there are landmarks."""
    by_pose = any(one.factor == "turn" for one in slices)
    return f"brightness, contrast{', sharpness and head pose' if by_pose else ' and sharpness'}"


def _summary(slices: list[Slice]) -> str:
    """Return which slices are weaker and stronger than other images of the same emotions."""
    tested = [one for one in slices if one.differs and one.factor not in (EMOTION_FACTOR, COPY_FACTOR)]
    ranked = sorted(tested, key=lambda one: one.excess or 0.0)
    if not ranked:
        return f"No slice by {_factor_names(slices)} differs significantly from the other images."
    sentences = []
    for direction, members in (
        ("weaker", [one for one in ranked if (one.excess or 0.0) < 0]),
        ("stronger", [one for one in reversed(ranked) if (one.excess or 0.0) > 0]),
    ):
        if members:
            parts = "; ".join(f"{one.factor} {one.name}: {_describe(one)}" for one in members)
            sentences.append(f"Significantly {direction} than other images of the same emotions: {parts}.")
    return " ".join(sentences)


def _describe(one: Slice) -> str:
    """Return e.g. ``55.1 % [52.0, 58.2], 3.2 points below the 58.3 % expected from its emotions``."""
    assert one.excess is not None
    assert one.expected is not None
    side = "below" if one.excess < 0 else "above"
    return (
        f"{format_proportion(one.accuracy)}, {abs(100 * one.excess):.1f} points {side} the "
        f"{percent(one.expected)} expected from its emotions"
    )


def _copies_paragraph(slices: list[Slice], other_data: bool) -> str:
    """Return a paragraph on images with a copy in the training set."""
    kind = "an exact copy (near copies were not searched for)" if other_data else "an exact or near copy"
    by_name = {one.name: one for one in slices if one.factor == COPY_FACTOR}
    if not by_name:
        return "Copies of training images were not searched for."
    copied, others = by_name["yes"], by_name["no"]
    if not copied.accuracy.n:
        return f"No image has {kind} in the training set."
    tested = (
        "significant" if copied.differs else "not significant" if copied.p_holm is not None else "not tested"
    )
    count = copied.accuracy.n
    have, these = agree(count, "has", "have"), agree(count, "it", "these")
    return (
        f"{counted(count, 'image')} {have} {kind} in the training set. The accuracy on {these} is "
        f"{_describe(copied)} (the difference within emotions is {tested}); on the others it is "
        f"{format_proportion(others.accuracy)}."
    )


def _table(slices: list[Slice]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            f"{one.factor}: {one.name}",
            one.accuracy.n,
            format_proportion(one.accuracy),
            None if one.expected is None else percent(one.expected),
            None if one.excess is None else f"{100 * one.excess:+.1f}".replace("-0.0", "+0.0"),
            None if one.p_holm is None else ("< 0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"),
            "yes" if one.differs else "no" if one.p_holm is not None else "too few",
        )
        for one in slices
    ]
    columns = ("slice", "images", "accuracy (95 %)", "expected", "difference, points", "p (Holm)", "differs")
    caption = (
        f"Slices by {_factor_names(slices)} are thirds of this split. Expected is the accuracy on all images "
        "of the same emotions, and for an emotion the accuracy on all images. Each slice is tested against "
        "all other images, within emotions (Mantel-Haenszel test)."
    )
    return Table(columns, rows, caption, "slices")
