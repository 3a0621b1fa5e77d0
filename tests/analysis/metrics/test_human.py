from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import entropy

from fer.analysis.metrics.human import annotator_agreement, human_estimates, vote_counts
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.evaluation.sections.scores import annotators_section

SPACE = LabelSpace("three", ("happy", "sad", "fear"))
COUNTS = st.lists(st.integers(0, 10), min_size=3, max_size=3).filter(lambda votes: 2 <= sum(votes) <= 10)


def annotators_of(votes):
    return [k for k, count in enumerate(votes) for _ in range(count)]


@given(COUNTS)
def test_agreement_matches_all_pairs_of_annotators(votes):
    annotators = annotators_of(votes)
    pairs = np.mean([a == b for a, b in combinations(annotators, 2)])
    assert annotator_agreement(np.array([votes]))[0][0] == pytest.approx(pairs)


@given(COUNTS)
def test_agreement_with_majority_matches_leaving_each_annotator_out(votes):
    agreements = []
    for i, one in enumerate(annotators := annotators_of(votes)):
        others = np.bincount(annotators[:i] + annotators[i + 1 :], minlength=3)
        winners = np.flatnonzero(others == others.max())
        agreements.append((one in winners) / len(winners))
    assert annotator_agreement(np.array([votes]))[1][0] == pytest.approx(np.mean(agreements))


@given(COUNTS)
def test_counts_are_recovered_from_fractions(votes):
    fractions = np.array([votes], np.float32) / np.float32(sum(votes))
    counts = vote_counts(fractions)[0]
    assert counts.sum() <= 10
    assert counts / counts.sum() == pytest.approx(fractions[0], abs=1e-5)
    assert counts.sum() >= sum(votes)


def test_fractions_of_more_votes_are_rejected():
    with pytest.raises(FerError, match="at most 10 votes"):
        vote_counts(np.array([[6 / 13, 7 / 13, 0]]))


def labels_probs_votes(n=300, seed=0):
    """Return majority labels, probabilities of a mediocre model, and votes of ten annotators."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet([0.6, 0.6, 0.6], n)
    votes = np.array([rng.multinomial(10, p) for p in truth])
    probs = 0.5 * truth + 0.5 * rng.dirichlet([2, 2, 2], n)
    return votes.argmax(1), probs, votes


def test_estimates_match_scipy_and_loops():
    target, probs, votes = labels_probs_votes()
    fractions = votes / 10
    estimates = human_estimates(target, probs, fractions, resamples=50)
    values = {name: estimate.value for name, estimate in estimates.items()}
    assert values["vote_entropy"] == pytest.approx(np.mean([entropy(row) for row in fractions]))
    assert values["kl"] == pytest.approx(rel_entr(fractions, probs).sum(1).mean())
    assert values["cross_entropy"] == pytest.approx(values["kl"] + values["vote_entropy"])
    preds = probs.argmax(1)
    assert values["model_tagger"] == pytest.approx(np.mean([fractions[i, k] for i, k in enumerate(preds)]))
    agrees = [(row[k] == row.max()) / (row == row.max()).sum() for row, k in zip(votes, preds, strict=True)]
    assert values["model_majority"] == pytest.approx(np.mean(agrees))
    pairs = [np.mean([a == b for a, b in permutations(annotators_of(row), 2)]) for row in votes]
    assert values["tagger_tagger"] == pytest.approx(np.mean(pairs))
    assert values["gap_majority"] == pytest.approx(values["model_majority"] - values["tagger_majority"])


def test_an_annotator_as_model_reaches_the_ceiling():
    """One of ten votes, held out and used as the prediction, agrees as often as the ceiling says."""
    _, _, votes = labels_probs_votes(4000)
    rng = np.random.default_rng(1)
    one = np.array([rng.choice(annotators_of(row)) for row in votes])
    others = votes - np.eye(3, dtype=int)[one]
    agrees = (others == others.max(1, keepdims=True))[np.arange(4000), one] / (
        others == others.max(1, keepdims=True)
    ).sum(1)
    assert annotator_agreement(votes)[1].mean() == pytest.approx(agrees.mean(), abs=0.02)


def test_intervals_are_two_standard_errors_wide():
    target, probs, votes = labels_probs_votes()
    estimate = human_estimates(target, probs, votes / 10, resamples=1000)["cross_entropy"]
    loss = -(votes / 10 * np.log(probs)).sum(1)
    error = np.sqrt(
        sum(((target == k).mean() ** 2) * loss[target == k].var() / (target == k).sum() for k in range(3))
    )
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_images_without_votes_are_left_out_with_a_note():
    target, probs, votes = labels_probs_votes()
    fractions = votes / 10
    fractions[:100] = 0
    estimate = human_estimates(target, probs, fractions, resamples=20)["kl"]
    assert estimate.n == 200
    assert "100 images" in estimate.note
    undefined = human_estimates(target, probs, np.zeros_like(fractions))["kl"]
    assert (undefined.value, undefined.n) == (None, 0)


def predictions_of(target, probs, votes):
    n = len(target)
    return Predictions(SPACE, np.arange(n), target, np.log(probs), probs, votes, np.full(n, "x"))


def test_section_states_who_agrees_more():
    target, _, votes = labels_probs_votes()
    random_probs = np.random.default_rng(0).dirichlet([2, 2, 2], len(target))
    worse = annotators_section(predictions_of(target, random_probs, votes / 10))
    assert "less often" in worse.paragraphs[0]
    better = annotators_section(predictions_of(target, np.eye(3)[target] * 0.97 + 0.01, votes / 10))
    assert "more often" in better.paragraphs[0]
    assert all(len(row) == 4 for row in worse.tables[0].rows)
    assert worse.numbers["kl"].value > 0


def test_section_without_votes_says_so():
    target, probs, _ = labels_probs_votes(20)
    section = annotators_section(predictions_of(target, probs, None))
    assert "one label each" in section.paragraphs[0]
    assert not section.tables
