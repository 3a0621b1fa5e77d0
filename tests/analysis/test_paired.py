import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fer.analysis.common_images import Truth
from fer.analysis.comparison import Entrant, compare
from fer.analysis.comparison_section import section
from fer.analysis.exact_tests import holm, mcnemar
from fer.analysis.figure import Figure
from fer.analysis.intervals import ends_of
from fer.analysis.paired import (
    Scores,
    average,
    count_deciding,
    difference,
    measure,
    seed_spread,
)
from fer.analysis.seeds import over_seeds
from fer.analysis.verdict import MIN_DECIDING, is_shown, verdict
from fer.labels import LabelSpace


def answers(rng, target, right, num_classes):
    """Return one-hot probabilities that are right on ``right``, and wrong at random elsewhere."""
    wrong = (target + 1 + rng.integers(num_classes - 1, size=len(target))) % num_classes
    return np.eye(num_classes, dtype=np.float32)[np.where(right, target, wrong)]


def trained(rng, n, skills, num_classes=3):
    """Return targets and one model for each skill; images that are hard are hard for all."""
    target, hard = rng.integers(num_classes, size=n), rng.normal(size=n)
    models = [answers(rng, target, s + hard + rng.normal(size=n) > 0, num_classes) for s in skills]
    return target, models


def test_scores_agree_with_sklearn():
    rng = np.random.default_rng(0)
    target = rng.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    probs = [rng.dirichlet(np.ones(4), 300) for _ in range(3)]
    scores = measure(target, probs, 10)
    for i, table in enumerate(probs):
        preds = table.argmax(1)
        assert scores["accuracy"].value[i] == pytest.approx(metrics.accuracy_score(target, preds))
        assert scores["macro_f1"].value[i] == pytest.approx(metrics.f1_score(target, preds, average="macro"))
        assert scores["uar"].value[i] == pytest.approx(metrics.balanced_accuracy_score(target, preds))
        assert scores["log_loss"].value[i] == pytest.approx(metrics.log_loss(target, table), rel=1e-5)


def macro_f1(target, preds):
    """F1 by its definition, emotion by emotion."""
    hits = [np.sum((target == k) & (preds == k)) for k in range(3)]
    return np.mean([2 * h / (np.sum(target == k) + np.sum(preds == k)) for k, h in enumerate(hits)])


def test_bootstrap_agrees_with_drawing_rows_one_by_one():
    rng = np.random.default_rng(1)
    target, models = trained(rng, 120, (0.8, 0.4))
    scores = measure(target, models, 4000)
    groups = [np.flatnonzero(target == k) for k in range(3)]
    drawn = [np.concatenate([rng.choice(rows, len(rows)) for rows in groups]) for _ in range(800)]
    for name, score in (("accuracy", lambda t, p: (t == p).mean()), ("macro_f1", macro_f1)):
        a, b = ([score(target[rows], m[rows].argmax(1)) for rows in drawn] for m in models)
        slow = np.array(a) - np.array(b)
        fast = scores[name].resampled[:, 0] - scores[name].resampled[:, 1]
        assert fast.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / 800**0.5)
        assert fast.std() == pytest.approx(slow.std(), rel=0.12)


def test_models_share_their_resamples():
    rng = np.random.default_rng(2)
    target, (model,) = trained(rng, 200, (0.5,))
    scores = measure(target, [model, model], 50)
    assert (scores["macro_f1"].resampled[:, 0] == scores["macro_f1"].resampled[:, 1]).all()
    found = difference(scores["macro_f1"], [0], [1], 0)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (0, 6), (5, 12), (40, 40), (180, 140)])
def test_mcnemar_is_the_binomial_test(only_a, only_b):
    right_a = np.r_[np.ones(only_a, bool), np.zeros(only_b, bool), [True, False]]
    right_b = np.r_[np.zeros(only_a, bool), np.ones(only_b, bool), [True, False]]
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    a, b, p = mcnemar(right_a, right_b)
    assert (a, b) == (only_a, only_b)
    assert p == pytest.approx(expected)


def test_six_is_the_least_number_of_images_that_can_decide():
    p = [stats.binomtest(0, n).pvalue for n in (MIN_DECIDING - 1, MIN_DECIDING)]
    assert p[0] > 0.05 > p[1]


def test_holm_on_an_example_worked_by_hand():
    # 0.01 * 4, 0.02 * 3, then no smaller than before: 0.03 * 2, 0.04 * 1
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == pytest.approx([0.03])


def test_seeds_alone_give_the_t_test_of_two_samples():
    """Without a variance over images, what is left is Student's test."""
    a, b = np.array([0.60, 0.62, 0.61]), np.array([0.58, 0.60])
    scores = Scores(np.r_[a, b], np.zeros((10, 5)))
    found = difference(scores, [0, 1, 2], [3, 4], 99)
    expected = stats.ttest_ind(a, b)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_mean_of_seeds_without_images_has_the_t_interval():
    values = np.array([0.60, 0.62, 0.61])
    figure = average(Scores(values, np.zeros((10, 3))), [0, 1, 2], 100)
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (figure.low, figure.high) == pytest.approx(expected)
    assert (figure.value, figure.n, figure.note) == (pytest.approx(0.61), 100, "3 seeds")


def test_an_interval_ends_where_the_metric_does():
    values = np.array([0.99, 0.94])
    figure = average(Scores(values, np.zeros((10, 2))), [0, 1], 100)
    assert figure.high == 1.0
    figure = average(Scores(values, np.zeros((10, 2)), ends=ends_of("log_loss")), [0, 1], 100)
    assert (figure.low, figure.high) == (
        pytest.approx(0.965 - 0.3177, abs=1e-3),
        pytest.approx(1.2827, abs=1e-3),
    )


def test_recipes_of_one_seed_borrow_the_spread_of_the_others():
    """Three seeds of A scatter by 2 points; B and C were trained once, 6 points apart."""
    scores = Scores(np.array([0.60, 0.62, 0.64, 0.60, 0.66]), np.zeros((10, 5)))
    spread = seed_spread(scores, [(0, 1, 2), (3,), (4,)])
    assert (spread.variance, spread.freedom) == (pytest.approx(0.0004), 2)
    assert difference(scores, [3], [4], 99).p == 1  # nothing is known of the scatter
    p = 2 * stats.t.sf(0.06 / (0.02 * 2**0.5), 2)
    assert difference(scores, [3], [4], 99, spread).p == pytest.approx(p)
    figure = average(scores, [3], 100, spread)
    assert (figure.low, figure.high) == pytest.approx(stats.t.interval(0.95, 2, 0.60, 0.02))


def test_what_can_be_found_grows_with_the_number_of_pairs():
    scores = Scores(np.array([0.60, 0.60]), np.random.default_rng(0).normal(0.6, 0.01, (2000, 2)))
    one, many = (difference(scores, [0], [1], 99, tests=tests) for tests in (1, 10))
    z = stats.norm.isf
    assert many.detectable / one.detectable == pytest.approx(
        (z(0.0025) + z(0.2)) / (z(0.025) + z(0.2)), rel=1e-3
    )
    assert (many.low, many.p) == (one.low, one.p)


def reject(seeds, spread, gain, trials=200, n=300):
    """Return how often equal recipes (or some ``gain`` apart) are told from one another."""
    rng, found = np.random.default_rng(3), 0
    split = seeds[0]
    for trial in range(trials):
        skills = 0.6 + spread * rng.normal(size=sum(seeds)) + gain * (np.arange(sum(seeds)) < split)
        target, models = trained(rng, n, skills)
        scores = measure(target, models, 200, seed=trial)["accuracy"]
        a, b = list(range(split)), list(range(split, sum(seeds)))
        found += difference(scores, a, b, n).p < 0.05
    return found / trials


@pytest.mark.parametrize(("seeds", "spread"), [((1, 1), 0.0), ((3, 3), 0.15), ((3, 1), 0.15)])
def test_equal_recipes_are_told_apart_in_one_case_of_twenty(seeds, spread):
    rate = reject(seeds, spread, gain=0.0)
    assert stats.binom.cdf(rate * 200 - 1, 200, 0.05) < 0.999  # no more than 5 %, but for chance
    assert rate > 0


def test_a_true_difference_is_found():
    assert reject((1, 1), 0.0, gain=0.5, trials=60) > 0.9
    assert reject((3, 3), 0.05, gain=0.5, trials=60) > 0.9


def test_detectable_difference_is_found_with_a_chance_of_four_in_five():
    """Normal differences around the detectable one, as the claim says; independent of the code but for it."""
    rng = np.random.default_rng(4)
    target, models = trained(rng, 2000, (0.6, 0.6))
    found = difference(measure(target, models, 2000)["accuracy"], [0], [1], 99)
    error = (found.high - found.low) / 2 / 1.959964
    assert stats.norm.sf(1.959964 - found.detectable / error) == pytest.approx(0.8, abs=1e-3)
    differ = np.mean((models[0].argmax(1) == target) != (models[1].argmax(1) == target))
    assert error == pytest.approx((differ / 2000) ** 0.5, rel=0.08)  # of a paired share, unstratified


@pytest.mark.parametrize("seeds", [(2, 1), (2, 2), (3, 3)])
def test_what_few_seeds_can_find_is_no_less_than_their_interval(seeds):
    """The interval over seeds alone is what decides; its few degrees of freedom do not go away."""
    values = 0.6 + 0.01 * (np.arange(sum(seeds)) % 2)
    scores = Scores(values, np.random.default_rng(0).normal(0.6, 0.009, (2000, sum(seeds))))
    columns = np.split(np.arange(sum(seeds)), [seeds[0]])
    found = difference(scores, *columns, 99)
    assert found.detectable > (found.high - found.low) / 2


def test_seeds_have_the_same_interval_whoever_asks():
    """The mean of seeds in a comparison, and in a report of these seeds."""
    draws = np.random.default_rng(0).normal(0.6, 0.008, (20_000, 2))
    alike = np.repeat(draws[:, :1], 2, 1)  # the same images are hard for both
    figure = average(Scores(np.array([0.60, 0.612]), alike), [0, 1], 3589)
    ends = np.quantile(draws[:, 0] - 0.6, (0.025, 0.975))
    seeds = [{"accuracy": Figure(v, v + ends[0], v + ends[1], 3589)} for v in (0.60, 0.612)]
    spread = over_seeds(seeds)["accuracy"]
    assert (figure.low, figure.high) == pytest.approx((spread.total_low, spread.total_high), abs=1e-3)


def test_an_emotion_with_a_few_images_decides_nothing():
    """One image of the third emotion, which A has right and B has not: UAR differs by a third."""
    target = np.array([0] * 50 + [1] * 50 + [2])
    said = np.where(np.arange(101) % 5 == 1, 1 - target, target)  # a fifth wrong, of both models
    a, b = (np.eye(3)[np.append(said[:-1], last)] * 0.8 + 0.1 for last in (2, 0))
    labels = LabelSpace("three", ("angry", "happy", "sad"))
    models = [Entrant(name, (i,), (name,), 1, 1.0, None, None) for i, name in enumerate("AB")]
    found = compare(Truth("set", labels, target, [a, b], []), models, "uar")
    (pair,) = found.pairs
    assert not pair.shown
    assert pair.verdict == (
        "These 101 images cannot tell A from B: +33.3 points, no interval: too few images (1 of sad)."
    )
    assert found.figures[0]["uar"].low is None
    assert found.figures[0]["accuracy"].low is not None
    truth = Truth("set", labels, target, [a, b], [])
    assert section("compare", found, truth, "speed").tables[1].rows[0][2] == "+33.3"


def test_deciding_images_are_those_where_shares_of_seeds_differ():
    a, b = np.array([[True, True, False], [True, False, False]]), np.array([[True, True, False]])
    assert count_deciding(a, b) == 1


def test_verdicts_in_words():
    rng = np.random.default_rng(5)
    target, models = trained(rng, 3000, (1.0, 0.6, 1.0))
    scores = measure(target, models, 500)
    found = difference(scores["accuracy"], [1], [0], 99)
    assert is_shown(found, found.p)
    words = verdict(("small", "large"), "accuracy", found, found.p, 3000)
    size = [f"{-100 * x:.1f}" for x in (found.value, found.high, found.low)]
    assert words == "large is better than small by {} points [{}, {}].".format(*size)
    assert "The exact test does not confirm it (p = 0.06)." in verdict(
        ("small", "large"), "accuracy", found, 0.06, 3000
    )
    assert "For all pairs together that may be chance (corrected p = 0.06)." in verdict(
        ("small", "large"), "accuracy", found, 0.06, 3000, tests=3
    )
    equal = difference(scores["accuracy"], [0], [2], 99)
    words = verdict(("a", "b"), "accuracy", equal, equal.p, 3000)
    assert words.startswith("These 3,000 images cannot tell a from b: ")
    assert "would be found with 80 % chance" in words


def test_of_models_that_agree_nothing_can_be_promised():
    target, models = trained(np.random.default_rng(7), 200, (1.0,))
    found = difference(measure(target, models * 2, 100)["accuracy"], [0], [1], 0)
    words = verdict(("a", "b"), "accuracy", found, found.p, 200)
    assert words == "These 200 images cannot tell a from b: +0.0 points [+0.0, +0.0]."


def test_less_log_loss_is_better():
    rng = np.random.default_rng(6)
    target = rng.integers(3, size=500)
    sure, unsure = (np.where(np.eye(3)[target] > 0, p, (1 - p) / 2) for p in (0.9, 0.5))
    noise = rng.uniform(0.9, 1.0, (500, 1))
    found = difference(measure(target, [sure * noise, unsure], 200)["log_loss"], [0], [1], 500)
    assert verdict(("sure", "unsure"), "log_loss", found, found.p, 500).startswith(
        "sure is better than unsure"
    )


def test_too_few_images_never_decide():
    target = np.array([0, 1, 0, 1])
    good, bad = np.eye(2)[target], np.eye(2)[1 - target]
    found = difference(measure(target, [good, bad], 100)["accuracy"], [0], [1], 4)
    assert not is_shown(found, found.p)
