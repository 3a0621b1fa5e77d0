"""The report sections on errors: confusion matrices and confused pairs; and contact sheets of examples."""

from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.classification import confusion_counts
from fer.analysis.metrics.estimate import format_percent, format_proportion, proportion
from fer.analysis.plots.confusion import plot_confusion_matrix
from fer.analysis.plots.images import ImageStrip, plot_contact_sheet
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.core.text import agree, counted

# Examples that the table lists for each pair
_NUM_EXAMPLES = 5
# Most confused pairs, most confident errors, and columns of the contact sheets
_NUM_PAIRS, _NUM_ERRORS, _COLUMNS = 6, 25, 5
# Not broken, because the column of examples would take the width.
_ARROW = "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one emotion that were predicted as another.

    Attributes:
        true: Class index of the label.
        predicted: Class index of the prediction.
        rows: int64 ``(n,)``, rows of the predictions, most confident first.
        support: Number of images with this label.
        errors: Number of errors in the split, of all pairs.
    """

    true: int
    predicted: int
    rows: np.ndarray
    support: int
    errors: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)


def confusions_section(predictions: Predictions) -> Section:
    """Return the section with confusion matrices by true and predicted emotion, and confused pairs."""
    names = predictions.labels.names
    counts = confusion_counts(predictions.target, predictions.preds, len(names))
    pairs = confused_pairs(predictions)
    paragraph = "There are no errors in this split."
    if pairs:
        first, true, predicted = pairs[0], names[pairs[0].true], names[pairs[0].predicted]
        paragraph = (
            f"The most frequent error is {true} predicted as {predicted}: {len(first):,} of "
            f"{counted(first.support, 'image')} of {true}, and {format_percent(len(first) / first.errors)} "
            f"of all {counted(first.errors, 'error')}."
        )
    pair_numbers = [
        {
            "true": names[pair.true],
            "said": names[pair.predicted],
            "count": len(pair),
            "share_of_true": proportion(len(pair), pair.support),
            "share_of_errors": len(pair) / pair.errors,
            "examples": predictions.index[pair.rows[:_NUM_EXAMPLES]],
        }
        for pair in pairs
    ]
    numbers = {"labels": list(names), "counts": counts, "pairs": pair_numbers}
    tables = [_pair_table(pairs, predictions)]
    return Section("confusions", "Confusions", [paragraph], tables, _plots(counts, names), numbers)


def _pair_table(pairs: list[ConfusedPair], predictions: Predictions) -> Table:
    names = predictions.labels.names
    rows: list[tuple[Cell, ...]] = [
        (
            f"{names[pair.true]}{_ARROW}{names[pair.predicted]}",
            len(pair),
            format_proportion(proportion(len(pair), pair.support)),
            format_percent(len(pair) / pair.errors),
            ", ".join(predictions.source[pair.rows[:_NUM_EXAMPLES]].tolist()),
        )
        for pair in pairs
    ]
    parts = ("of the true emotion (95 %)", "of all errors")
    columns = (f"true{_ARROW}predicted", "images", *parts, "most confident examples")
    return Table(columns, rows, f"The most confused pairs of {len(predictions):,} images.", "pairs")


def _plots(counts: np.ndarray, names: tuple[str, ...]) -> list[Plot]:
    n = f"n = {counts.sum():,}"
    by_true = plot_confusion_matrix(counts, names, "Predictions for each true emotion")
    by_predicted = plot_confusion_matrix(counts, names, "True emotions for each prediction", "predicted")
    return [
        Plot(
            "confusion_by_true",
            png_bytes(by_true),
            "Confusion matrix, normalized over each true emotion",
            f"Percentages of each row, with counts below; the diagonal is recall. {n}.",
        ),
        Plot(
            "confusion_by_predicted",
            png_bytes(by_predicted),
            "Confusion matrix, normalized over each predicted emotion",
            f"Percentages of each column, with counts below; the diagonal is precision. {n}.",
        ),
    ]


def confused_pairs(predictions: Predictions, limit: int = _NUM_PAIRS) -> list[ConfusedPair]:
    """Return the ``limit`` pairs of emotions with the most errors, largest first."""
    counts = confusion_counts(predictions.target, predictions.preds, len(predictions.labels))
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [(int(cell) // len(wrong), int(cell) % len(wrong)) for cell in largest]
    preds, errors = predictions.preds, int(wrong.sum())
    return [
        ConfusedPair(
            true,
            predicted,
            _most_confident(predictions, (predictions.target == true) & (preds == predicted)),
            int(counts[true].sum()),
            errors,
        )
        for true, predicted in cells
        if wrong[true, predicted]
    ]


def confident_errors(predictions: Predictions) -> np.ndarray:
    """Return the rows of the errors with the highest confidence, most confident first, int64 ``(n,)``."""
    return _most_confident(predictions, predictions.preds != predictions.target)[:_NUM_ERRORS]


def _most_confident(predictions: Predictions, mask: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(mask)
    return rows[np.argsort(-predictions.probs[rows].max(1), kind="stable")]


def gallery_section(predictions: Predictions, images: Images) -> Section:
    """Return the section with contact sheets of confident errors and of confused pairs."""
    rows, pairs = confident_errors(predictions), confused_pairs(predictions)
    numbers = {"confident_errors": predictions.index[rows], "probabilities": predictions.probs[rows].max(1)}
    title = "Examples of errors"
    if not len(rows):
        return Section("galleries", title, ["There are no errors in this split."], numbers=numbers)
    wrong = predictions.preds != predictions.target
    num_confident = int((wrong & (predictions.probs.max(1) >= 0.9)).sum())
    paragraphs = [
        f"In {num_confident:,} of {counted(int(wrong.sum()), 'error')} the confidence of the model is 90 % "
        "or more. Such an image is either hard for the model or has a wrong label."
    ]
    plots = [_errors_plot(predictions, images[rows], rows), _pairs_plot(predictions, images, pairs)]
    return Section("galleries", title, paragraphs, plots=plots, numbers=numbers)


def _errors_plot(predictions: Predictions, images: np.ndarray, rows: np.ndarray) -> Plot:
    true = [predictions.labels.names[label] for label in predictions.target[rows]]
    captions = [[f"true {name}", _predicted(predictions, row)] for name, row in zip(true, rows, strict=True)]
    title, subtitle = "The most confident errors", "highest confidence first"
    fig = plot_contact_sheet([ImageStrip("", images, captions)], _COLUMNS, title, subtitle)
    alt = f"{counted(len(rows), 'face')}, each with its label, the predicted emotion and its probability"
    caption = agree(len(rows), "The most confident error.", f"The {len(rows)} most confident errors.")
    return Plot("confident_errors", png_bytes(fig), alt, caption)


def _pairs_plot(predictions: Predictions, images: Images, pairs: list[ConfusedPair]) -> Plot:
    strips = [_strip(predictions, images, pair) for pair in pairs]
    title, subtitle = "The most confused pairs", "for each pair the images with the highest confidence"
    fig = plot_contact_sheet(strips, _COLUMNS, title, subtitle)
    alt = f"Rows of faces for each of the {len(pairs)} most confused pairs of emotions"
    return Plot("confused_pairs", png_bytes(fig), alt, f"Up to {_COLUMNS} images for each pair.")


def _strip(predictions: Predictions, images: Images, pair: ConfusedPair) -> ImageStrip:
    names, rows = predictions.labels.names, pair.rows[:_COLUMNS]
    count = counted(len(pair), "image")
    of_true = f"{format_percent(len(pair) / pair.support)} of {names[pair.true]}"
    heading = f"{names[pair.true]}, predicted as {names[pair.predicted]}  ·  {count}, {of_true}"
    return ImageStrip(heading, images[rows], [[_predicted(predictions, row)] for row in rows.tolist()])


def _predicted(predictions: Predictions, row: int) -> str:
    """Return the prediction for an image, ``"pred happy 93 %"``; a longer text would not fit the tile."""
    predicted = int(predictions.probs[row].argmax())
    probability = format_percent(float(predictions.probs[row, predicted]))
    return f"pred {predictions.labels.names[predicted]} {probability}"
