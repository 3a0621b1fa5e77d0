"""The scores of a split: each with the number of images behind it and a 95 % interval.

Intervals are of the stratified bootstrap (`fer.analysis.bootstrap`), those of AUROC DeLong's. They say what
other faces from the same source, in the same mix of emotions, would give; not what another training would
give: for that there are seeds (`fer.analysis.seeds`).
"""

import math
from collections.abc import Sequence

import numpy as np

from fer.analysis.auroc import auroc_figures
from fer.analysis.count_scores import count_figures
from fer.analysis.figure import Figure, cells, with_interval
from fer.analysis.plots import plot_per_emotion, png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.probability_scores import probability_figures
from fer.analysis.section import Cell, Picture, Section, Table
from fer.errors import FerError

__all__ = ["Figure", "check", "score", "section"]

# Score -> how people call it, and whether it is shown in percent
OVERALL = {
    "accuracy": ("Accuracy", True),
    "macro_f1": ("Macro-F1", True),
    "uar": ("UAR (balanced accuracy)", True),
    "weighted_f1": ("Weighted F1", True),
    "kappa": ("Cohen's kappa", False),
    "top2": ("Top-2 accuracy", True),
    "log_loss": ("Log loss, nats", False),
    "brier": ("Brier score, 0 to 2", False),
    "ece_mass": ("ECE, bins of equal mass", True),
    "ece_width": ("ECE, bins of equal width", True),
    "auroc": ("AUROC, one against the rest", False),
}
BY_EMOTION = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}
_SUM_TOLERANCE = 1e-3  # of a row of probabilities in float32 or half precision


def score(
    target: np.ndarray, probs: np.ndarray, names: Sequence[str], resamples: int = 2000, seed: int = 0
) -> dict[str, Figure]:
    """Return all scores of a split.

    Args:
        target: int ``(N,)``, class numbers 0 to K - 1.
        probs: ``(N, K)``, rows sum to 1.
        names: The K emotions in the order of the columns.
        resamples: Draws of the bootstrap.
        seed: Seed of the draws: the same seed gives the same intervals.

    Returns:
        ``accuracy``, ``uar``, ``macro_f1``, ``weighted_f1``, ``kappa`` (see
        `fer.analysis.count_scores.overall_scores`), ``top2`` (the emotion is among the two most probable),
        ``log_loss`` (mean negative log-likelihood, in nats), ``brier`` (0 to 2, summed over emotions; Brier
        1950), ``ece_mass``, ``ece_width``, ``auroc`` (mean over emotions, one against the rest), and
        ``precision/<emotion>``, ``recall/…``, ``f1/…``, ``auroc/…``.

    Raises:
        FerError: The arrays do not fit together or hold no probabilities.
    """
    check(target, probs, names)
    return {
        **count_figures(target, probs, names, resamples, np.random.default_rng([seed, 0])),
        **probability_figures(target, probs, resamples, np.random.default_rng([seed, 1])),
        **auroc_figures(target, probs, names),
    }


def check(target: np.ndarray, probs: np.ndarray, names: Sequence[str]) -> None:
    """Refuse what cannot be scored.

    Raises:
        FerError: No image, shapes that do not fit, a class number out of range, or rows that do not sum to 1.
    """
    n, num_classes = len(target), len(names)
    if n == 0 or probs.shape != (n, num_classes):
        got = f"{n} targets and probabilities of shape {probs.shape}"
        raise FerError(f"Scores: expected images with {num_classes} probabilities each, got {got}.")
    if target.min() < 0 or target.max() >= num_classes:
        raise FerError(
            f"Scores: expected class numbers from 0 to {num_classes - 1}, got {target.min()} to "
            f"{target.max()}. Images whose label is hidden or of no known emotion cannot be scored."
        )
    if not (np.abs(probs.sum(1, dtype=np.float64) - 1) < _SUM_TOLERANCE).all() or probs.min() < 0:
        raise FerError("Scores: expected probabilities that sum to 1 for each image; pass softmax(logits).")


def section(predictions: Predictions, figures: dict[str, Figure]) -> Section:
    """Tell the scores: a table of all images, one by emotion, and a picture of the latter.

    Args:
        predictions: What was scored.
        figures: What `score` returned for it.
    """
    names, n = predictions.labels.names, len(predictions)
    support = {name: figures[f"recall/{name}"].n for name in names}
    return Section(
        key="scores",
        title="Scores",
        words=[_how_to_read(n), *_notes(figures)],
        tables=[_overall_table(figures), _emotion_table(figures, support)],
        pictures=[_picture(figures, support)],
        numbers=dict(figures),
    )


def _how_to_read(n: int) -> str:
    return (
        f"Each figure is of {n:,} images unless its n says otherwise, with a 95 % interval: from a bootstrap "
        "that draws images anew within each emotion (percentiles), for AUROC from DeLong's method. An "
        "interval says how far other images of the same kind, in the same mix of emotions, could move the "
        "figure; it holds this one training fixed."
    )


def _notes(figures: dict[str, Figure]) -> list[str]:
    """Return what must be said of single figures as one paragraph, or none."""
    said = [f"{name}: {figure.note}" for name, figure in figures.items() if figure.note]
    return ["Note on single figures. " + ". ".join(said) + "."] if said else []


def _overall_table(figures: dict[str, Figure]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (words, *cells(figures[key], percent)) for key, (words, percent) in OVERALL.items()
    ]
    return Table(("metric", "value", "95 % interval", "n"), rows, "All images of the split.")


def _emotion_table(figures: dict[str, Figure], support: dict[str, int]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, count, *(with_interval(figures[f"{metric}/{name}"]) for metric in BY_EMOTION))
        for name, count in support.items()
    ]
    caption = "By emotion, in percent, with 95 % intervals; AUROC is of each emotion against the rest."
    return Table(("emotion", "images", *BY_EMOTION.values()), rows, caption)


def _picture(figures: dict[str, Figure], support: dict[str, int]) -> Picture:
    values = {
        metric: {name: _or_nan(figures[f"{metric}/{name}"].value) for name in support}
        for metric in ("f1", "precision", "recall")
    }
    fig = plot_per_emotion(values["f1"], values["precision"], values["recall"], support)
    alt = "Bars of F1 by emotion, best on top, with precision and recall marked on each."
    caption = f"F1, precision and recall, {sum(support.values()):,} images."
    return Picture("scores_by_emotion", png_bytes(fig), alt, caption)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
