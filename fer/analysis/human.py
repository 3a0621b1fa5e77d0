"""Against human votes: how often a model agrees with people, and how often people agree with each other.

Faces of FER+ were judged by ten taggers each (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041). A label
is their majority; what a model can be expected to reach is what one of them reaches.
"""

import numpy as np

from fer.analysis.bootstrap import resample_means
from fer.analysis.figure import Figure, cells, measured
from fer.analysis.predictions import Predictions
from fer.analysis.section import Cell, Section, Table
from fer.errors import FerError

NUM_VOTES = 10  # taggers of an image of FER+
_TOLERANCE = 1e-4  # of a share of votes in float32
SHOWN = {
    "model_majority": ("Model agrees with the majority", True),
    "tagger_majority": ("One tagger agrees with the majority of the others", True),
    "model_tagger": ("Model agrees with a tagger", True),
    "tagger_tagger": ("One tagger agrees with another", True),
    "cross_entropy": ("Cross-entropy to the votes, nats", False),
    "vote_entropy": ("Entropy of the votes, nats (the least possible)", False),
    "kl": ("KL divergence from the votes, nats", False),
}


def vote_counts(votes: np.ndarray, num_votes: int = NUM_VOTES) -> np.ndarray:
    """Return the votes behind shares of votes.

    Where several numbers of votes give the same shares, the largest is taken.

    Args:
        votes: ``(N, K)``, rows sum to 1.
        num_votes: Most votes that an image can have; fewer where some were struck out as slips.

    Returns:
        int64 ``(N, K)``.

    Raises:
        FerError: Some row is no share of that many votes.
    """
    counts, open_rows = np.zeros(votes.shape, np.int64), np.ones(len(votes), bool)
    for total in range(num_votes, 0, -1):
        scaled = votes.astype(np.float64) * total
        whole = open_rows & (np.abs(scaled - np.round(scaled)) < _TOLERANCE * total).all(1)
        counts[whole] = np.round(scaled[whole])
        open_rows &= ~whole
    if open_rows.any():
        raise FerError(
            f"Votes: expected shares of at most {num_votes} votes, got "
            f"{votes[open_rows][0].round(4).tolist()}. Say how many people judged each image."
        )
    return counts


def tagger_agreement(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how often one tagger of each image agrees with the others.

    Args:
        counts: Votes, int ``(N, K)``; two or more an image.

    Returns:
        For each image, float64 ``(N,)``: the probability that a tagger gives the answer of another tagger of
        it, and that a tagger gives the answer of most of the others (where t answers are equally frequent,
        each counts as 1 / t).
    """
    total = counts.sum(1)
    pairs = (counts * (counts - 1)).sum(1) / (total * (total - 1))
    majority = np.zeros(len(counts))
    for k in range(counts.shape[1]):
        others = counts - (np.arange(counts.shape[1]) == k)
        most = others == others.max(1, keepdims=True)
        majority += counts[:, k] / total * most[:, k] / most.sum(1)
    return pairs, majority


def vote_columns(probs: np.ndarray, votes: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each image what `human_figures` takes the mean of, float64 ``(N,)`` each."""
    rows, preds = np.arange(len(probs)), probs.argmax(1)
    shares = votes.astype(np.float64)
    most = counts == counts.max(1, keepdims=True)
    floor = np.finfo(np.float64).eps
    cross = -(shares * np.log(np.maximum(probs, floor))).sum(1)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1)
    pairs, majority = tagger_agreement(counts)
    return {
        "model_majority": most[rows, preds] / most.sum(1),
        "tagger_majority": majority,
        "model_tagger": shares[rows, preds],
        "tagger_tagger": pairs,
        "cross_entropy": cross,
        "vote_entropy": entropy,
        "kl": cross - entropy,
    }


def human_figures(
    target: np.ndarray,
    probs: np.ndarray,
    votes: np.ndarray,
    num_votes: int = NUM_VOTES,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return how a model and people agree with people, over the images with two votes or more.

    Args:
        target: int ``(N,)``, within which the bootstrap draws.
        probs: ``(N, K)``.
        votes: ``(N, K)``, share of the votes for each emotion; rows of 0 have none.
        num_votes: Most votes that an image can have.
        resamples: Draws of the bootstrap.
        seed: Seed of the draws.

    Returns:
        The keys of `SHOWN`. Agreements are probabilities; a tie of the votes for t emotions counts as 1 / t.
        ``gap_majority`` and ``gap_tagger`` are the model's less the tagger's, from the same resamples.

    Raises:
        FerError: The votes are no shares of so many votes.
    """
    voted = votes.sum(1) > 0.5
    counts = np.zeros(votes.shape, np.int64)
    counts[voted] = vote_counts(votes[voted], num_votes)
    used = counts.sum(1) >= 2
    n, names = int(used.sum()), (*SHOWN, "gap_majority", "gap_tagger")
    if n == 0:
        return {name: Figure(None, None, None, 0, "no image has two votes") for name in names}
    columns = vote_columns(probs[used].astype(np.float64), votes[used], counts[used])
    columns["gap_majority"] = columns["model_majority"] - columns["tagger_majority"]
    columns["gap_tagger"] = columns["model_tagger"] - columns["tagger_tagger"]
    table = np.column_stack([columns[name] for name in names])
    draws = resample_means(table, target[used], resamples, np.random.default_rng([seed, 4]))
    note = f"{len(target) - n:,} images without two votes are left out" if n < len(target) else ""
    return {name: measured(float(table[:, i].mean()), draws[:, i], n, note) for i, name in enumerate(names)}


def section(
    predictions: Predictions, num_votes: int = NUM_VOTES, resamples: int = 2000, seed: int = 0
) -> Section:
    """Tell how far from human the model is; where there are no votes, that this cannot be told."""
    title, key = "Against human votes", "human"
    if predictions.votes is None:
        words = "These images came with one label each; FER+'s votes would say how far from human this is."
        return Section(key=key, title=title, words=[words])
    figures = human_figures(
        predictions.target, predictions.probs, predictions.votes, num_votes, resamples, seed
    )
    rows: list[tuple[Cell, ...]] = [
        (words, *cells(figures[name], percent)) for name, (words, percent) in SHOWN.items()
    ]
    caption = "Agreement with people; intervals from a bootstrap that draws images anew within each emotion."
    table = Table(("metric", "value", "95 % interval", "n"), rows, caption)
    return Section(
        key=key, title=title, words=_words(figures, num_votes), tables=[table], numbers=dict(figures)
    )


def _words(figures: dict[str, Figure], num_votes: int) -> list[str]:
    ceiling = (
        f"Each image was judged by up to {num_votes} people, and a model can hardly be expected to agree "
        "with them more than they do with each other. Votes are used as the data set cleans them: FER+'s "
        "rules strike out single votes and images without a majority, so people agree more here than when "
        "asked."
    )
    gap = figures["gap_majority"]
    if gap.value is None or gap.low is None or gap.high is None:
        return [ceiling]
    return [_verdict(gap), ceiling]


def _verdict(gap: Figure) -> str:
    assert gap.value is not None
    assert gap.low is not None
    assert gap.high is not None
    between = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    size = f"{100 * abs(gap.value):.1f} points (95 % interval of the difference {between})"
    if gap.high < 0:
        return (
            f"The model agrees with the majority less often than one person does with the others, by {size}."
        )
    if gap.low > 0:
        return (
            f"The model agrees with the majority more often than one person does with the others, by {size}."
        )
    return f"{gap.n:,} images cannot tell the model's agreement from one person's: they differ by {size}."
