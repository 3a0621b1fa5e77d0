"""Which emotion is taken for which: the confusion matrix, and its largest cells with examples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.confusion_plot import plot_confusion_matrix
from fer.analysis.count_scores import confusion_counts
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Picture, Section, Table
from fer.analysis.share import in_words, percent, share

_EXAMPLES = 5  # of a pair, told by their source


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one emotion that were said to be another.

    Attributes:
        true: Class number of the label.
        said: Class number of the prediction.
        rows: int64 ``(n,)``, positions in the predictions, those said with most confidence first.
        support: Images with this label.
        errors: Errors of the whole split.
    """

    true: int
    said: int
    rows: np.ndarray
    support: int
    errors: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)


def confused_pairs(predictions: Predictions, limit: int = 6) -> list[ConfusedPair]:
    """Return the pairs of emotions with the most errors, the largest first.

    Args:
        predictions: Of a split.
        limit: Pairs at most.
    """
    counts = confusion_counts(predictions.target, predictions.preds, len(predictions.labels))
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [(int(cell) // len(wrong), int(cell) % len(wrong)) for cell in largest]
    errors = int(wrong.sum())
    return [
        ConfusedPair(true, said, _surest(predictions, true, said), int(counts[true].sum()), errors)
        for true, said in cells
        if wrong[true, said]
    ]


def _surest(predictions: Predictions, true: int, said: int) -> np.ndarray:
    rows = np.flatnonzero((predictions.target == true) & (predictions.preds == said))
    return rows[np.argsort(-predictions.probs[rows, said], kind="stable")]


def section(predictions: Predictions) -> Section:
    """Return the chapter: the matrix by true and by predicted emotion, and the most confused pairs."""
    names = predictions.labels.names
    counts = confusion_counts(predictions.target, predictions.preds, len(names))
    pairs = confused_pairs(predictions)
    words = [_in_words(pairs[0], names)] if pairs else ["There is no error in this split."]
    numbers: dict[str, Any] = {
        "labels": list(names),
        "counts": counts,
        "pairs": [_numbers(pair, predictions) for pair in pairs],
    }
    return Section(
        "confusions", "Confusions", words, [_table(pairs, predictions)], _pictures(counts, names), numbers
    )


def _in_words(pair: ConfusedPair, names: tuple[str, ...]) -> str:
    true, said = names[pair.true], names[pair.said]
    return (
        f"The most frequent error is {true} said to be {said}: {len(pair):,} of {pair.support:,} images of "
        f"{true}, and {percent(len(pair) / pair.errors)} of all {pair.errors:,} errors."
    )


def _table(pairs: list[ConfusedPair], predictions: Predictions) -> Table:
    names = predictions.labels.names
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            f"{names[pair.true]} → {names[pair.said]}",
            len(pair),
            in_words(share(len(pair), pair.support)),
            percent(len(pair) / pair.errors),
            ", ".join(predictions.source[pair.rows[:_EXAMPLES]].tolist()),
        )
        for pair in pairs
    ]
    columns = ("true → said", "images", "of the true emotion (95 %)", "of all errors", "surest examples")
    return Table(columns, rows, f"The most confused pairs of {len(predictions):,} images.")


def _numbers(pair: ConfusedPair, predictions: Predictions) -> dict[str, Any]:
    names = predictions.labels.names
    return {
        "true": names[pair.true],
        "said": names[pair.said],
        "count": len(pair),
        "share_of_true": share(len(pair), pair.support),
        "share_of_errors": len(pair) / pair.errors,
        "examples": predictions.index[pair.rows[:_EXAMPLES]],
    }


def _pictures(counts: np.ndarray, names: tuple[str, ...]) -> list[Picture]:
    n = f"n = {counts.sum():,}"
    by_true = plot_confusion_matrix(counts, names, "What each emotion is taken for")
    by_said = plot_confusion_matrix(counts, names, "What a prediction turns out to be", "predicted")
    return [
        Picture(
            "confusion_by_true",
            png_bytes(by_true),
            "Confusion matrix, shares of each true emotion",
            f"Shares of each row, the diagonal is recall; below them the counts. {n}.",
        ),
        Picture(
            "confusion_by_predicted",
            png_bytes(by_said),
            "Confusion matrix, shares of each predicted emotion",
            f"Shares of each column, the diagonal is precision; below them the counts. {n}.",
        ),
    ]
