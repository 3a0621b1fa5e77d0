"""The report section on errors: the confusion matrix, and the most confused pairs with examples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.analysis.count_scores import confusion_counts
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Plot, Section, Table
from fer.analysis.share import format_percent, format_proportion, proportion

_NUM_EXAMPLES = 5  # files or rows that the table lists for each pair


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one emotion that were predicted as another.

    Attributes:
        true: Class index of the label.
        predicted: Class index of the prediction.
        rows: int64 ``(n,)``, rows of the predictions, most confident first.
        support: Number of images with this label.
        errors: Number of errors in the whole split.
    """

    true: int
    predicted: int
    rows: np.ndarray
    support: int
    errors: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)


def confused_pairs(predictions: Predictions, limit: int = 6) -> list[ConfusedPair]:
    """Return the pairs of emotions with the most errors, largest first.

    Args:
        predictions: Of a split.
        limit: Maximum number of pairs.
    """
    counts = confusion_counts(predictions.target, predictions.preds, len(predictions.labels))
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [(int(cell) // len(wrong), int(cell) % len(wrong)) for cell in largest]
    errors = int(wrong.sum())
    return [
        ConfusedPair(
            true, predicted, _rows_of_pair(predictions, true, predicted), int(counts[true].sum()), errors
        )
        for true, predicted in cells
        if wrong[true, predicted]
    ]


def _rows_of_pair(predictions: Predictions, true: int, predicted: int) -> np.ndarray:
    rows = np.flatnonzero((predictions.target == true) & (predictions.preds == predicted))
    return rows[np.argsort(-predictions.probs[rows, predicted], kind="stable")]


def section(predictions: Predictions) -> Section:
    """Return the section: confusion matrices by true and predicted emotion, and the most confused pairs."""
    names = predictions.labels.names
    counts = confusion_counts(predictions.target, predictions.preds, len(names))
    pairs = confused_pairs(predictions)
    paragraphs = [_most_frequent_error(pairs[0], names)] if pairs else ["There are no errors in this split."]
    numbers: dict[str, Any] = {
        "labels": list(names),
        "counts": counts,
        "pairs": [_pair_numbers(pair, predictions) for pair in pairs],
    }
    tables = [_pair_table(pairs, predictions)]
    return Section("confusions", "Confusions", paragraphs, tables, _plots(counts, names), numbers)


def _most_frequent_error(pair: ConfusedPair, names: tuple[str, ...]) -> str:
    true, predicted = names[pair.true], names[pair.predicted]
    return (
        f"The most frequent error is {true} predicted as {predicted}: {len(pair):,} of {pair.support:,} "
        f"images of {true}, and {format_percent(len(pair) / pair.errors)} of all {pair.errors:,} errors."
    )


def _pair_table(pairs: list[ConfusedPair], predictions: Predictions) -> Table:
    names = predictions.labels.names
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            f"{names[pair.true]} → {names[pair.predicted]}",
            len(pair),
            format_proportion(proportion(len(pair), pair.support)),
            format_percent(len(pair) / pair.errors),
            ", ".join(predictions.source[pair.rows[:_NUM_EXAMPLES]].tolist()),
        )
        for pair in pairs
    ]
    columns = (
        "true → predicted",
        "images",
        "of the true emotion (95 %)",
        "of all errors",
        "most confident examples",
    )
    return Table(columns, rows, f"The most confused pairs of {len(predictions):,} images.")


def _pair_numbers(pair: ConfusedPair, predictions: Predictions) -> dict[str, Any]:
    names = predictions.labels.names
    return {
        "true": names[pair.true],
        "said": names[pair.predicted],
        "count": len(pair),
        "share_of_true": proportion(len(pair), pair.support),
        "share_of_errors": len(pair) / pair.errors,
        "examples": predictions.index[pair.rows[:_NUM_EXAMPLES]],
    }


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
