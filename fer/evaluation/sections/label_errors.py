"""The report section on probable label errors: how many, which, and how many human votes confirm."""

from typing import Any

from fer.analysis.metrics.estimate import format_percent, format_proportion
from fer.analysis.metrics.label_errors import (
    LabelErrors,
    estimate_label_noise,
    find_label_errors,
    outvoted_proportion,
)
from fer.analysis.plots.images import ImageStrip, plot_contact_sheet
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Plot, Section, Table
from fer.core.text import counted

# Estimated fraction of wrong labels above which no list is made, because most candidates are errors of the
# model. Annotators outvote 35 % of the labels of FER2013, so it cannot be much lower.
MAX_NOISE = 0.5
# Images and columns of the contact sheet
_NUM_IMAGES, _COLUMNS = 25, 5
# Candidates that a person can review, in the table, and in metrics.json
TOP_CANDIDATES, _NUM_ROWS, _NUM_LISTED = 100, 10, 100


def label_errors_section(predictions: Predictions, images: Images) -> Section:
    """Return the section on probable label errors; the model should not be trained on these labels.

    A model that contradicts too many labels gets no list (`MAX_NOISE`).
    """
    errors = find_label_errors(predictions.target, predictions.probs)
    numbers: dict[str, Any] = {
        "candidates": len(errors),
        "estimated_noise": estimate_label_noise(errors, predictions.target),
        "thresholds": dict(zip(predictions.labels.names, errors.thresholds.tolist(), strict=True)),
        "confident_joint": errors.joint,
    }
    key, title = "label_errors", "Probable label errors"
    if numbers["estimated_noise"] > MAX_NOISE:
        return Section(key, title, [_too_weak(predictions, numbers)], [], [], numbers)
    numbers["first"] = predictions.index[errors.rows[:_NUM_LISTED]]
    if predictions.votes is not None:
        target, votes = predictions.target, predictions.votes
        top = errors.rows[:TOP_CANDIDATES]
        numbers[f"precision_at_{TOP_CANDIDATES}"] = outvoted_proportion(target[top], votes[top])
        # Precision of random candidates
        numbers["base_rate"] = outvoted_proportion(target, votes)
    plots = [_plot(predictions, images, errors)] if len(errors) else []
    paragraphs = _paragraphs(predictions, numbers)
    return Section(key, title, paragraphs, [_table(predictions, errors)], plots, numbers)


def _too_weak(predictions: Predictions, numbers: dict[str, Any]) -> str:
    return (
        "The model is too weak for a list of probable label errors: it contradicts "
        f"{numbers['candidates']:,} of {len(predictions):,} labels, and most of these are its own errors. A "
        f"list is made where it estimates at most {format_percent(MAX_NOISE)} of the labels to be wrong; "
        f"here it is {format_percent(numbers['estimated_noise'])}."
    )


def _paragraphs(predictions: Predictions, numbers: dict[str, Any]) -> list[str]:
    paragraphs = [
        f"Confident learning finds {counted(numbers['candidates'], 'probable label error')} "
        f"among {counted(len(predictions), 'image')}. It estimates that "
        f"{format_percent(numbers['estimated_noise'])} of the labels are wrong. This is probably too high, "
        "because confident errors of the model count too."
    ]
    if predictions.votes is not None:
        precision, base = numbers[f"precision_at_{TOP_CANDIDATES}"], numbers["base_rate"]
        paragraphs.append(
            f"Checked against human votes: {format_proportion(precision)} of the {precision.n:,} top "
            f"candidates with votes are outvoted by another emotion, against {format_proportion(base)} of "
            "all labels."
        )
    if predictions.about.role in ("train", "all"):
        paragraphs.append(
            "The model was trained on some of these images and may have memorised their labels."
        )
    return paragraphs


def _table(predictions: Predictions, errors: LabelErrors) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            str(predictions.source[row]),
            predictions.labels.names[predictions.target[row]],
            format_percent(float(predictions.probs[row, predictions.target[row]])),
            predictions.labels.names[likely],
            format_percent(float(predictions.probs[row, likely])),
            _format_votes(predictions, row),
        )
        for row, likely in _first(errors, _NUM_ROWS)
    ]
    columns = ("image", "label", "its probability", "likely label", "probability", "human votes")
    caption = "The ten most probable label errors; metrics.json lists a hundred."
    return Table(columns, rows, caption, "candidates")


def _first(errors: LabelErrors, count: int) -> list[tuple[int, int]]:
    """Return row and likely class of the first candidates."""
    return list(zip(errors.rows[:count].tolist(), errors.likely[:count].tolist(), strict=True))


def _format_votes(predictions: Predictions, row: int) -> str | None:
    """Return the emotion with the most votes and its fraction, ``"sad 80 %"``; None without votes."""
    if predictions.votes is None or not predictions.votes[row].any():
        return None
    majority = int(predictions.votes[row].argmax())
    return f"{predictions.labels.names[majority]} {format_percent(float(predictions.votes[row, majority]))}"


def _plot(predictions: Predictions, images: Images, errors: LabelErrors) -> Plot:
    rows = errors.rows[:_NUM_IMAGES]
    names, captions = predictions.labels.names, []
    for row, likely in _first(errors, _NUM_IMAGES):
        likely_label = f"likely {names[likely]} {format_percent(float(predictions.probs[row, likely]))}"
        votes = [] if predictions.votes is None else [f"votes {_format_votes(predictions, row) or 'none'}"]
        captions.append([f"label {names[predictions.target[row]]}", likely_label, *votes])
    title, subtitle = "Probable label errors", "most probable first"
    fig = plot_contact_sheet([ImageStrip("", images[rows], captions)], _COLUMNS, title, subtitle)
    alt = f"{len(rows)} faces with a probable label error"
    caption = f"The {len(rows)} most probable of {len(errors):,} candidates, by normalised margin."
    return Plot("label_errors", png_bytes(fig), alt, caption)
