"""Agreement with human votes: of the model with the annotators, and of the annotators with each other.

Each face of FER+ was labelled by ten annotators (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041), and
its label is their majority. The agreement of one annotator with the others is the level that a model can be
expected to reach.
"""

import numpy as np

from fer.analysis.metrics.estimate import Estimate, estimate_from_resamples
from fer.analysis.metrics.intervals import resample_means
from fer.core.errors import FerError
from fer.core.text import agree, counted

# Annotators per image of FER+
MAX_VOTES = 10
# Tolerance of a fraction of votes in float32
_TOLERANCE = 1e-4
# Metric -> label, and whether it is shown in percent
METRIC_LABELS = {
    "model_majority": ("Model agrees with the majority", True),
    "tagger_majority": ("One annotator agrees with the majority of the others", True),
    "model_tagger": ("Model agrees with one annotator", True),
    "tagger_tagger": ("One annotator agrees with another", True),
    "cross_entropy": ("Cross-entropy to the votes, nats", False),
    "vote_entropy": ("Entropy of the votes, nats (least possible cross-entropy)", False),
    "kl": ("KL divergence from the votes, nats", False),
}


def human_estimates(
    target: np.ndarray, probs: np.ndarray, votes: np.ndarray, resamples: int = 2000
) -> dict[str, Estimate]:
    """Return the agreement of a model and of annotators with the votes, over images with at least two votes.

    Args:
        target: int ``(N,)``, the strata of the bootstrap.
        probs: ``(N, K)``.
        votes: ``(N, K)``, fraction of the votes for each emotion; a row of 0 has none.

    Returns:
        The keys of `METRIC_LABELS`. Agreements are probabilities; a tie of t emotions counts as 1 / t.
        ``gap_majority`` and ``gap_tagger`` are the model's agreement minus the annotator's, on the same
        resamples.

    Raises:
        FerError: The votes are not fractions of at most `MAX_VOTES` votes.
    """
    has_votes = votes.sum(1) > 0.5
    counts = np.zeros(votes.shape, np.int64)
    counts[has_votes] = vote_counts(votes[has_votes])
    used = counts.sum(1) >= 2
    n, names = int(used.sum()), (*METRIC_LABELS, "gap_majority", "gap_tagger")
    if n == 0:
        return {name: Estimate(None, None, None, 0, "no image has two votes") for name in names}
    columns = _vote_columns(probs[used].astype(np.float64), votes[used], counts[used])
    columns["gap_majority"] = columns["model_majority"] - columns["tagger_majority"]
    columns["gap_tagger"] = columns["model_tagger"] - columns["tagger_tagger"]
    table = np.column_stack([columns[name] for name in names])
    draws = resample_means(table, target[used], resamples, np.random.default_rng([0, 4]))
    left_out = len(target) - n
    are = agree(left_out, "is", "are")
    note = f"{counted(left_out, 'image')} with fewer than two votes {are} left out" if left_out else ""
    return {
        name: estimate_from_resamples(float(table[:, i].mean()), draws[:, i], n, note)
        for i, name in enumerate(names)
    }


def _vote_columns(probs: np.ndarray, votes: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return metric -> its value for each image, float64 ``(N,)``; `human_estimates` averages them."""
    rows, preds = np.arange(len(probs)), probs.argmax(1)
    fractions = votes.astype(np.float64)
    is_majority = counts == counts.max(1, keepdims=True)
    eps = np.finfo(np.float64).eps
    cross_entropy = -(fractions * np.log(np.maximum(probs, eps))).sum(1)
    entropy = -(fractions * np.log(np.where(fractions > 0, fractions, 1.0))).sum(1)
    pairs, majority = annotator_agreement(counts)
    return {
        "model_majority": is_majority[rows, preds] / is_majority.sum(1),
        "tagger_majority": majority,
        "model_tagger": fractions[rows, preds],
        "tagger_tagger": pairs,
        "cross_entropy": cross_entropy,
        "vote_entropy": entropy,
        "kl": cross_entropy - entropy,
    }


def vote_counts(votes: np.ndarray) -> np.ndarray:
    """Return the numbers of votes, int64 ``(N, K)``, from their fractions ``(N, K)``, whose rows sum to 1.

    Where several numbers of votes give the same fractions, the largest is used. Some images have fewer than
    `MAX_VOTES`, as outliers were removed.

    Raises:
        FerError: A row is not a set of fractions of at most `MAX_VOTES` votes.
    """
    counts, unresolved = np.zeros(votes.shape, np.int64), np.ones(len(votes), bool)
    for total in range(MAX_VOTES, 0, -1):
        scaled = votes.astype(np.float64) * total
        is_integer = unresolved & (np.abs(scaled - np.round(scaled)) < _TOLERANCE * total).all(1)
        counts[is_integer] = np.round(scaled[is_integer])
        unresolved &= ~is_integer
    if unresolved.any():
        raise FerError(
            f"Votes: expected fractions of at most {MAX_VOTES} votes, got "
            f"{votes[unresolved][0].round(4).tolist()}."
        )
    return counts


def annotator_agreement(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how often one annotator of each image agrees with the other annotators.

    Args:
        counts: Votes, int ``(N, K)``; at least two per image.

    Returns:
        For each image, float64 ``(N,)``: the probability that two annotators agree, and the probability that
        one annotator agrees with the majority of the others (a tie of t emotions counts as 1 / t).
    """
    total = counts.sum(1)
    pairs = (counts * (counts - 1)).sum(1) / (total * (total - 1))
    majority = np.zeros(len(counts))
    for k in range(counts.shape[1]):
        others = counts - (np.arange(counts.shape[1]) == k)
        is_majority = others == others.max(1, keepdims=True)
        majority += counts[:, k] / total * is_majority[:, k] / is_majority.sum(1)
    return pairs, majority
