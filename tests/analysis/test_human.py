from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import entropy

from fer.analysis.human import human_figures, section, tagger_agreement, vote_counts
from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.labels import LabelSpace

SPACE = LabelSpace("three", ("happy", "sad", "fear"))
COUNTS = st.lists(st.integers(0, 10), min_size=3, max_size=3).filter(lambda votes: 2 <= sum(votes) <= 10)


def taggers_of(votes):
    return [k for k, count in enumerate(votes) for _ in range(count)]


@given(COUNTS)
def test_agreement_is_that_of_all_pairs_of_taggers(votes):
    taggers = taggers_of(votes)
    pairs = np.mean([a == b for a, b in combinations(taggers, 2)])
    assert tagger_agreement(np.array([votes]))[0][0] == pytest.approx(pairs)


@given(COUNTS)
def test_agreement_with_the_others_is_that_of_leaving_each_tagger_out(votes):
    found = []
    for i, one in enumerate(taggers := taggers_of(votes)):
        others = np.bincount(taggers[:i] + taggers[i + 1 :], minlength=3)
        winners = np.flatnonzero(others == others.max())
        found.append((one in winners) / len(winners))
    assert tagger_agreement(np.array([votes]))[1][0] == pytest.approx(np.mean(found))


@given(COUNTS)
def test_counts_come_back_from_shares(votes):
    shares = np.array([votes], np.float32) / np.float32(sum(votes))
    counts = vote_counts(shares)[0]
    assert counts.sum() <= 10
    assert counts / counts.sum() == pytest.approx(shares[0], abs=1e-5)
    assert counts.sum() >= sum(votes)


def test_shares_of_more_people_are_refused():
    with pytest.raises(FerError, match="at most 10 votes"):
        vote_counts(np.array([[6 / 13, 7 / 13, 0]]))
    assert vote_counts(np.array([[6 / 13, 7 / 13, 0]]), num_votes=13).tolist() == [[6, 7, 0]]


def crowd(n=300, seed=0):
    """Votes of ten taggers, the majority as target, and probabilities of a middling model."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet([0.6, 0.6, 0.6], n)
    votes = np.array([rng.multinomial(10, p) for p in truth])
    probs = 0.5 * truth + 0.5 * rng.dirichlet([2, 2, 2], n)
    return votes.argmax(1), probs, votes


def test_figures_are_scipys_and_those_of_a_loop():
    target, probs, votes = crowd()
    shares = votes / 10
    found = {
        name: figure.value for name, figure in human_figures(target, probs, shares, resamples=50).items()
    }
    assert found["vote_entropy"] == pytest.approx(np.mean([entropy(row) for row in shares]))
    assert found["kl"] == pytest.approx(rel_entr(shares, probs).sum(1).mean())
    assert found["cross_entropy"] == pytest.approx(found["kl"] + found["vote_entropy"])
    preds = probs.argmax(1)
    assert found["model_tagger"] == pytest.approx(np.mean([shares[i, k] for i, k in enumerate(preds)]))
    agrees = [(row[k] == row.max()) / (row == row.max()).sum() for row, k in zip(votes, preds, strict=True)]
    assert found["model_majority"] == pytest.approx(np.mean(agrees))
    pairs = [np.mean([a == b for a, b in permutations(taggers_of(row), 2)]) for row in votes]
    assert found["tagger_tagger"] == pytest.approx(np.mean(pairs))
    assert found["gap_majority"] == pytest.approx(found["model_majority"] - found["tagger_majority"])


def test_a_tagger_taken_for_the_model_reaches_the_ceiling():
    """What the ceiling means: one vote in ten taken out and used as the prediction agrees that often."""
    _, _, votes = crowd(4000)
    rng = np.random.default_rng(1)
    one = np.array([rng.choice(taggers_of(row)) for row in votes])
    others = votes - np.eye(3, dtype=int)[one]
    agrees = (others == others.max(1, keepdims=True))[np.arange(4000), one] / (
        others == others.max(1, keepdims=True)
    ).sum(1)
    assert tagger_agreement(votes)[1].mean() == pytest.approx(agrees.mean(), abs=0.02)


def test_intervals_are_about_two_standard_errors():
    target, probs, votes = crowd()
    figure = human_figures(target, probs, votes / 10, resamples=1000)["cross_entropy"]
    loss = -(votes / 10 * np.log(probs)).sum(1)
    within = np.sqrt(
        sum(((target == k).mean() ** 2) * loss[target == k].var() / (target == k).sum() for k in range(3))
    )
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * within, rel=0.1)


def test_images_without_votes_are_left_out_and_said():
    target, probs, votes = crowd()
    shares = votes / 10
    shares[:100] = 0
    found = human_figures(target, probs, shares, resamples=20)["kl"]
    assert found.n == 200
    assert "100 images" in found.note
    nothing = human_figures(target, probs, np.zeros_like(shares))["kl"]
    assert (nothing.value, nothing.n) == (None, 0)


def predictions_of(target, probs, votes):
    n = len(target)
    return Predictions(SPACE, np.arange(n), target, np.log(probs), probs, votes, np.full(n, "x"))


def test_section_says_who_agrees_more():
    target, _, votes = crowd()
    blind = np.random.default_rng(0).dirichlet([2, 2, 2], len(target))
    worse = section(predictions_of(target, blind, votes / 10), resamples=100)
    assert "less often" in worse.words[0]
    better = section(predictions_of(target, np.eye(3)[target] * 0.97 + 0.01, votes / 10), resamples=100)
    assert "more often" in better.words[0]
    assert all(len(row) == 4 for row in worse.tables[0].rows)
    assert worse.numbers["kl"].value > 0


def test_section_without_votes_says_so():
    target, probs, _ = crowd(20)
    found = section(predictions_of(target, probs, None))
    assert "one label each" in found.words[0]
    assert not found.tables
