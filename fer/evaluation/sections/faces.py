"""The report section on photographs: how many faces the detector missed, and the score on the others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer.analysis.about import About
from fer.analysis.metrics.classification import accuracy_estimate, confusion_counts
from fer.analysis.metrics.estimate import Estimate, format_with_interval, proportion
from fer.analysis.plots.images import ImageStrip, plot_contact_sheet
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.core.text import agree, counted
from fer.evaluation.faces import NO_FACE, count_missed

# Photographs without a detected face that are shown, and in a row.
_MAX_SHOWN, _COLUMNS = 12, 6


def faces_section(predictions: Predictions, images: Images) -> Section:
    """Return the section on the detection of faces.

    Args:
        predictions: From photographs (`fer.evaluation.faces.answer_no_face`).
        images: Their crops; of a photograph without a face, its central square.
    """
    facts = dict(predictions.about.faces or {})
    missed = predictions.preds == predictions.labels.names.index(NO_FACE)
    total, count = len(predictions), int(missed.sum())
    rate, found = proportion(count, total), _accuracy(predictions, ~missed)
    return Section(
        "faces",
        "Faces in the photographs",
        [_sentence(facts, total, count), *_others(facts)],
        [_table(predictions)],
        _plots(predictions, images, np.flatnonzero(missed)),
        {**facts, "missed_rate": rate, "accuracy_of_found": found},
        summary={"missed_rate": rate, "accuracy_of_found": found},
    )


def _accuracy(predictions: Predictions, rows: np.ndarray) -> Estimate:
    """Return the accuracy on some photographs, bool ``(N,)``, with an interval like that on all."""
    if not rows.any():
        return proportion(0, 0)
    classes = len(predictions.labels.names)
    return accuracy_estimate(confusion_counts(predictions.target[rows], predictions.preds[rows], classes))


def missed_faces(about: About) -> Iterator[str]:
    """Yield the warning on photographs without a detected face, if there are any."""
    if about.faces and (missed := about.faces["missed"]):
        photographs = counted(about.faces["photographs"], "photograph")
        wrong = agree(missed, "it counts as a wrong answer", "they count as wrong answers")
        yield f"No face was detected in {missed:,} of {photographs}; {wrong}."


def _sentence(facts: dict[str, object], total: int, count: int) -> str:
    return (
        f"The detector {facts['detector']} found a face in {total - count:,} of "
        f"{counted(total, 'photograph')} and missed {count:,}. A missed face counts as a wrong answer, "
        f"'{NO_FACE}', in all scores here."
    )


def _others(facts: dict[str, object]) -> list[str]:
    several, turned = facts.get("several"), facts.get("turned")
    sentences = []
    if several:
        sentences.append(f"Photographs with several faces: {several:,}. The largest face was scored.")
    if turned:
        sentences.append(f"Faces that were found after turning the photograph: {turned:,}.")
    return sentences


def _table(predictions: Predictions) -> Table:
    missed, correct = count_missed(predictions), predictions.preds == predictions.target
    rows: list[tuple[Cell, ...]] = []
    for number, emotion in enumerate(predictions.labels.names):
        mask = predictions.target == number
        if total := int(mask.sum()):
            hits, found = int(correct[mask].sum()), total - missed[emotion]
            rows.append((emotion, total, missed[emotion], *(_percent(hits, n) for n in (total, found))))
    columns = ("emotion", "photographs", "missed faces", "correct, % of all", "correct, % of found faces")
    caption = f"n = {len(predictions):,} photographs; 95 % intervals."
    return Table(columns, rows, caption, "faces")


def _percent(hits: int, total: int) -> str | None:
    return format_with_interval(proportion(hits, total)) if total else None


def _plots(predictions: Predictions, images: Images, missed: np.ndarray) -> list[Plot]:
    """Return a plot of photographs whose face was missed, if there are any."""
    if not len(missed):
        return []
    rows = missed[:_MAX_SHOWN]
    names = predictions.labels.names
    captions = [
        (names[predictions.target[row]], Path(str(predictions.source[row])).name[-24:]) for row in rows
    ]
    strip = ImageStrip("", images[rows], captions)
    number = f"{len(rows):,} of {len(missed):,}" if len(rows) < len(missed) else f"{len(missed):,}"
    figure = plot_contact_sheet([strip], _COLUMNS, f"Missed faces: {number}", "Label and file")
    alt = f"Photographs in which no face was detected: {', '.join(' '.join(one) for one in captions)}."
    return [
        Plot(
            "missed_faces",
            png_bytes(figure),
            alt,
            f"Photographs without a detected face, their central square: {number}.",
        )
    ]
