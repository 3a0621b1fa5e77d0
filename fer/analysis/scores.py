"""Scores of a split, each with the number of images and a 95 % interval.

Intervals are from the stratified bootstrap (`fer.analysis.bootstrap`), for AUROC from DeLong's method. They
cover other images from the same source with the same mix of emotions. They do not cover another training run:
that takes several seeds (`fer.analysis.seeds`).
"""

import math
from collections.abc import Sequence

import numpy as np

from fer.analysis.auroc import auroc_estimates
from fer.analysis.count_scores import count_estimates
from fer.analysis.figure import Estimate, format_cells, format_with_interval
from fer.analysis.plots import plot_per_emotion, png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.probability_scores import probability_estimates
from fer.analysis.section import Cell, Plot, Section, Table
from fer.errors import FerError

__all__ = ["Estimate", "check", "score", "section"]

# Score -> display name, and whether it is shown in percent
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
    "auroc": ("AUROC, one-vs-rest", False),
}
BY_EMOTION = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}
# Of the sum of a row of probabilities in float32 or half precision
_SUM_TOLERANCE = 1e-3


def score(
    target: np.ndarray, probs: np.ndarray, names: Sequence[str], resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Return all metrics of a split.

    Args:
        target: int ``(N,)``, class numbers 0 to K - 1.
        probs: ``(N, K)``, rows sum to 1.
        names: The K emotions in the order of the columns.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap; the same seed gives the same intervals.

    Returns:
        ``accuracy``, ``uar``, ``macro_f1``, ``weighted_f1``, ``kappa`` (see
        `fer.analysis.count_scores.overall_scores`), ``top2`` (the label is among the two most probable),
        ``log_loss`` (mean negative log-likelihood, in nats), ``brier`` (0 to 2, summed over emotions; Brier
        1950), ``ece_mass``, ``ece_width``, ``auroc`` (mean over emotions, one against the rest), and
        ``precision/<emotion>``, ``recall/…``, ``f1/…``, ``auroc/…``.

    Raises:
        FerError: The arrays have mismatched shapes or are not valid labels and probabilities.
    """
    check(target, probs, names)
    return {
        **count_estimates(target, probs, names, resamples, np.random.default_rng([seed, 0])),
        **probability_estimates(target, probs, resamples, np.random.default_rng([seed, 1])),
        **auroc_estimates(target, probs, names),
    }


def check(target: np.ndarray, probs: np.ndarray, names: Sequence[str]) -> None:
    """Raise where targets and probabilities cannot be scored.

    Raises:
        FerError: No image, mismatched shapes, a class number out of range, or rows that do not sum to 1.
    """
    n, num_classes = len(target), len(names)
    if n == 0 or probs.shape != (n, num_classes):
        got = f"{n} targets and probabilities of shape {probs.shape}"
        raise FerError(f"Scores: expected one target and {num_classes} probabilities per image, got {got}.")
    if target.min() < 0 or target.max() >= num_classes:
        raise FerError(
            f"Scores: expected class numbers from 0 to {num_classes - 1}, got {target.min()} to "
            f"{target.max()}. Leave out images without a known emotion."
        )
    if not (np.abs(probs.sum(1, dtype=np.float64) - 1) < _SUM_TOLERANCE).all() or probs.min() < 0:
        raise FerError("Scores: expected probabilities that sum to 1 for each image. Pass softmax(logits).")


def section(predictions: Predictions, estimates: dict[str, Estimate]) -> Section:
    """Return the section on the scores: a table over all images, a table and a plot by emotion.

    Args:
        predictions: Of the split.
        estimates: What `score` returned for it.
    """
    names, n = predictions.labels.names, len(predictions)
    support = {name: estimates[f"recall/{name}"].n for name in names}
    return Section(
        key="scores",
        title="Scores",
        paragraphs=[_explanation(n), *_notes(estimates)],
        tables=[_overall_table(estimates), _emotion_table(estimates, support)],
        plots=[_plot(estimates, support)],
        numbers=dict(estimates),
    )


def _explanation(n: int) -> str:
    return (
        f"Each score is computed from {n:,} images unless its n says otherwise, and has a 95 % interval: "
        "from a bootstrap that resamples images within each emotion (percentiles), for AUROC from DeLong's "
        "method. The interval says how much the score would vary over other images of the same kind, with "
        "the same mix of emotions. It does not include the variation between training runs."
    )


def _notes(estimates: dict[str, Estimate]) -> list[str]:
    """Return the notes of all estimates as one paragraph, or none."""
    notes = [f"{name}: {estimate.note}" for name, estimate in estimates.items() if estimate.note]
    return ["Notes on single scores. " + ". ".join(notes) + "."] if notes else []


def _overall_table(estimates: dict[str, Estimate]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (title, *format_cells(estimates[key], percent)) for key, (title, percent) in OVERALL.items()
    ]
    return Table(("metric", "value", "95 % interval", "n"), rows, "All images of the split.")


def _emotion_table(estimates: dict[str, Estimate], support: dict[str, int]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, count, *(format_with_interval(estimates[f"{metric}/{name}"]) for metric in BY_EMOTION))
        for name, count in support.items()
    ]
    caption = "By emotion, in percent, with 95 % intervals. AUROC is one-vs-rest."
    return Table(("emotion", "images", *BY_EMOTION.values()), rows, caption)


def _plot(estimates: dict[str, Estimate], support: dict[str, int]) -> Plot:
    values = {
        metric: {name: _or_nan(estimates[f"{metric}/{name}"].value) for name in support}
        for metric in ("f1", "precision", "recall")
    }
    fig = plot_per_emotion(values["f1"], values["precision"], values["recall"], support)
    alt = "Bar chart of F1 by emotion, best first, with precision and recall marked on each bar."
    caption = f"F1, precision and recall, {sum(support.values()):,} images."
    return Plot("scores_by_emotion", png_bytes(fig), alt, caption)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
