import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fer.analysis.metrics.comparison import (
    MIN_DISCORDANT,
    Candidate,
    compare_candidates,
    conclusion,
    is_significant,
)
from fer.analysis.metrics.estimate import Estimate, signed_number
from fer.analysis.metrics.hypothesis_tests import holm, mcnemar, paired_difference_interval
from fer.analysis.metrics.intervals import metric_range
from fer.analysis.metrics.matching import MatchedImages
from fer.analysis.metrics.paired import (
    Scores,
    count_discordant,
    mean_over_seeds,
    paired_difference,
    pooled_seed_variance,
    score_models,
    summarize_seeds,
)
from fer.core.labels import LabelSpace
from fer.evaluation.sections.comparison import comparison_section


def one_hot_probs(rng, target, correct, num_classes):
    """Return one-hot probabilities that are correct on ``correct``, and randomly wrong elsewhere."""
    wrong = (target + 1 + rng.integers(num_classes - 1, size=len(target))) % num_classes
    return np.eye(num_classes, dtype=np.float32)[np.where(correct, target, wrong)]


def simulate_models(rng, n, skills, num_classes=3):
    """Return targets and the probabilities of a model for each skill; hard images are hard for all models."""
    target, hard = rng.integers(num_classes, size=n), rng.normal(size=n)
    models = [one_hot_probs(rng, target, s + hard + rng.normal(size=n) > 0, num_classes) for s in skills]
    return target, models


def test_scores_agree_with_sklearn():
    rng = np.random.default_rng(0)
    target = rng.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    probs = [rng.dirichlet(np.ones(4), 300) for _ in range(3)]
    scores = score_models(target, probs, 10)
    for i, table in enumerate(probs):
        preds = table.argmax(1)
        assert scores["accuracy"].value[i] == pytest.approx(metrics.accuracy_score(target, preds))
        assert scores["macro_f1"].value[i] == pytest.approx(metrics.f1_score(target, preds, average="macro"))
        assert scores["uar"].value[i] == pytest.approx(metrics.balanced_accuracy_score(target, preds))
        assert scores["log_loss"].value[i] == pytest.approx(metrics.log_loss(target, table), rel=1e-5)


def macro_f1(target, preds):
    """Return macro-F1 by its definition, emotion by emotion."""
    hits = [np.sum((target == k) & (preds == k)) for k in range(3)]
    return np.mean([2 * h / (np.sum(target == k) + np.sum(preds == k)) for k, h in enumerate(hits)])


def test_bootstrap_matches_resampled_rows():
    rng = np.random.default_rng(1)
    target, models = simulate_models(rng, 120, (0.8, 0.4))
    scores = score_models(target, models, 4000)
    groups = [np.flatnonzero(target == k) for k in range(3)]
    drawn = [np.concatenate([rng.choice(rows, len(rows)) for rows in groups]) for _ in range(800)]
    for name, score in (("accuracy", lambda t, p: (t == p).mean()), ("macro_f1", macro_f1)):
        a, b = ([score(target[rows], m[rows].argmax(1)) for rows in drawn] for m in models)
        slow = np.array(a) - np.array(b)
        fast = scores[name].resampled[:, 0] - scores[name].resampled[:, 1]
        assert fast.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / 800**0.5)
        assert fast.std() == pytest.approx(slow.std(), rel=0.12)


def test_models_are_scored_on_the_same_resamples():
    rng = np.random.default_rng(2)
    target, (model,) = simulate_models(rng, 200, (0.5,))
    scores = score_models(target, [model, model], 50)
    assert (scores["macro_f1"].resampled[:, 0] == scores["macro_f1"].resampled[:, 1]).all()
    difference = paired_difference(scores["macro_f1"], [0], [1], 0)
    assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.004, 0.001), (0.02, 0.02), (0.1, 0.05)])
def test_paired_difference_interval_covers_the_difference(rates):
    n, rng = 500, np.random.default_rng(0)
    counts = rng.multinomial(n, (*rates, 1 - sum(rates)), 2000)
    intervals = np.array([paired_difference_interval(int(a), int(b), n) for a, b, _ in counts])
    covered = (intervals[:, 0] <= rates[0] - rates[1]) & (rates[0] - rates[1] <= intervals[:, 1])
    assert covered.mean() > 0.93
    assert (intervals[:, 1] - intervals[:, 0]).mean() < 0.08


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (0, 6), (5, 12), (40, 40), (180, 140)])
def test_mcnemar_matches_the_binomial_test(only_a, only_b):
    correct_a = np.r_[np.ones(only_a, bool), np.zeros(only_b, bool), [True, False]]
    correct_b = np.r_[np.zeros(only_a, bool), np.ones(only_b, bool), [True, False]]
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    a, b, p = mcnemar(correct_a, correct_b)
    assert (a, b) == (only_a, only_b)
    assert p == pytest.approx(expected)


def test_six_discordant_images_are_the_least_that_can_be_significant():
    p = [stats.binomtest(0, n).pvalue for n in (MIN_DISCORDANT - 1, MIN_DISCORDANT)]
    assert p[0] > 0.05 > p[1]


def test_holm_on_a_worked_example():
    # 0.01 * 4, 0.02 * 3, then at least the one before: 0.03 * 2, 0.04 * 1
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == pytest.approx([0.03])


def test_without_variance_over_images_the_test_is_the_t_test():
    """Without variance over images, only Student's test of two samples remains."""
    a, b = np.array([0.60, 0.62, 0.61]), np.array([0.58, 0.60])
    scores = Scores(np.r_[a, b], np.zeros((10, 5)))
    difference = paired_difference(scores, [0, 1, 2], [3, 4], 99)
    expected = stats.ttest_ind(a, b)
    interval = expected.confidence_interval()
    assert difference.p == pytest.approx(expected.pvalue)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))


def test_mean_over_seeds_without_variance_over_images_has_the_t_interval():
    values = np.array([0.60, 0.62, 0.61])
    estimate = mean_over_seeds(Scores(values, np.zeros((10, 3))), [0, 1, 2], 100)
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert (estimate.value, estimate.n, estimate.note) == (pytest.approx(0.61), 100, "3 seeds")


def test_intervals_are_clipped_to_the_range_of_the_metric():
    values = np.array([0.99, 0.94])
    estimate = mean_over_seeds(Scores(values, np.zeros((10, 2))), [0, 1], 100)
    assert estimate.high == 1.0
    estimate = mean_over_seeds(
        Scores(values, np.zeros((10, 2)), limits=metric_range("log_loss")), [0, 1], 100
    )
    assert (estimate.low, estimate.high) == (
        pytest.approx(0.965 - 0.3177, abs=1e-3),
        pytest.approx(1.2827, abs=1e-3),
    )


def test_recipes_with_one_seed_use_the_pooled_variance():
    """A has three seeds with a standard deviation of 2 points; B and C have one seed, 6 points apart."""
    scores = Scores(np.array([0.60, 0.62, 0.64, 0.60, 0.66]), np.zeros((10, 5)))
    variance = pooled_seed_variance(scores, [(0, 1, 2), (3,), (4,)])
    assert (variance.variance, variance.degrees_of_freedom) == (pytest.approx(0.0004), 2)
    # Without the other recipes no variance is known
    assert paired_difference(scores, [3], [4], 99).p == 1
    p = 2 * stats.t.sf(0.06 / (0.02 * 2**0.5), 2)
    assert paired_difference(scores, [3], [4], 99, variance).p == pytest.approx(p)
    estimate = mean_over_seeds(scores, [3], 100, variance)
    assert (estimate.low, estimate.high) == pytest.approx(stats.t.interval(0.95, 2, 0.60, 0.02))


def test_detectable_difference_grows_with_the_number_of_pairs():
    scores = Scores(np.array([0.60, 0.60]), np.random.default_rng(0).normal(0.6, 0.01, (2000, 2)))
    one, many = (paired_difference(scores, [0], [1], 99, tests=tests) for tests in (1, 10))
    z = stats.norm.isf
    assert many.detectable / one.detectable == pytest.approx(
        (z(0.0025) + z(0.2)) / (z(0.025) + z(0.2)), rel=1e-3
    )
    assert (many.low, many.p) == (one.low, one.p)


def rejection_rate(seeds, spread, gain, trials=200, n=300):
    """Return how often two recipes, ``gain`` apart in skill, differ significantly."""
    rng, rejections = np.random.default_rng(3), 0
    split = seeds[0]
    for trial in range(trials):
        skills = 0.6 + spread * rng.normal(size=sum(seeds)) + gain * (np.arange(sum(seeds)) < split)
        target, models = simulate_models(rng, n, skills)
        scores = score_models(target, models, 200, seed=trial)["accuracy"]
        a, b = list(range(split)), list(range(split, sum(seeds)))
        rejections += paired_difference(scores, a, b, n).p < 0.05
    return rejections / trials


@pytest.mark.parametrize(("seeds", "spread"), [((1, 1), 0.0), ((3, 3), 0.15), ((3, 1), 0.15)])
def test_equal_recipes_differ_significantly_in_at_most_5_percent(seeds, spread):
    rate = rejection_rate(seeds, spread, gain=0.0)
    # At most 5 %, up to chance
    assert stats.binom.cdf(rate * 200 - 1, 200, 0.05) < 0.999
    assert rate > 0


def test_a_true_difference_is_detected():
    assert rejection_rate((1, 1), 0.0, gain=0.5, trials=60) > 0.9
    assert rejection_rate((3, 3), 0.05, gain=0.5, trials=60) > 0.9


def test_detectable_difference_is_detected_with_80_percent_power():
    """Power of a normal test at the detectable difference, computed independently."""
    rng = np.random.default_rng(4)
    target, models = simulate_models(rng, 2000, (0.6, 0.6))
    difference = paired_difference(score_models(target, models, 2000)["accuracy"], [0], [1], 99)
    error = (difference.high - difference.low) / 2 / 1.959964
    assert stats.norm.sf(1.959964 - difference.detectable / error) == pytest.approx(0.8, abs=1e-3)
    differ = np.mean((models[0].argmax(1) == target) != (models[1].argmax(1) == target))
    # Standard error of a paired proportion, unstratified
    assert error == pytest.approx((differ / 2000) ** 0.5, rel=0.08)


@pytest.mark.parametrize("seeds", [(2, 1), (2, 2), (3, 3)])
def test_detectable_difference_of_few_seeds_exceeds_their_interval(seeds):
    """The interval over seeds alone, with few degrees of freedom, is the limit."""
    values = 0.6 + 0.01 * (np.arange(sum(seeds)) % 2)
    scores = Scores(values, np.random.default_rng(0).normal(0.6, 0.009, (2000, sum(seeds))))
    columns = np.split(np.arange(sum(seeds)), [seeds[0]])
    difference = paired_difference(scores, *columns, 99)
    assert difference.detectable > (difference.high - difference.low) / 2


def test_comparison_and_report_give_the_same_interval_over_seeds():
    """`mean_over_seeds` of a comparison, and `summarize_seeds` of a report on these seeds."""
    draws = np.random.default_rng(0).normal(0.6, 0.008, (20_000, 2))
    # The same images are hard for both seeds
    correlated = np.repeat(draws[:, :1], 2, 1)
    estimate = mean_over_seeds(Scores(np.array([0.60, 0.612]), correlated), [0, 1], 3589)
    offsets = np.quantile(draws[:, 0] - 0.6, (0.025, 0.975))
    seeds = [{"accuracy": Estimate(v, v + offsets[0], v + offsets[1], 3589)} for v in (0.60, 0.612)]
    summary = summarize_seeds(seeds)["accuracy"]
    assert (estimate.low, estimate.high) == pytest.approx((summary.total_low, summary.total_high), abs=1e-3)


def test_an_emotion_with_few_images_gives_no_conclusion():
    """Only A classifies the one image of the third emotion correctly: UAR differs by a third."""
    target = np.array([0] * 50 + [1] * 50 + [2])
    # A fifth of both models' predictions are wrong
    preds = np.where(np.arange(101) % 5 == 1, 1 - target, target)
    a, b = (np.eye(3)[np.append(preds[:-1], last)] * 0.8 + 0.1 for last in (2, 0))
    labels = LabelSpace("three", ("angry", "happy", "sad"))
    models = [Candidate(name, (i,), (name,), 1, 1.0, None, None) for i, name in enumerate("AB")]
    images = MatchedImages("set", labels, target, [a, b], [], np.arange(len(target)))
    comparison = compare_candidates(images, models, "uar")
    (pair,) = comparison.pairs
    assert not pair.shown
    assert pair.verdict == (
        "No significant difference between A and B on 101 images: +33.3 points, no interval: too few images "
        "(1 of sad)."
    )
    assert comparison.estimates[0]["uar"].low is None
    assert comparison.estimates[0]["accuracy"].low is not None
    assert comparison_section("compare", comparison, images, "speed").tables[1].rows[0][3] == "+33.3"


def test_discordant_images_are_those_with_different_fractions_of_correct_seeds():
    a, b = np.array([[True, True, False], [True, False, False]]), np.array([[True, True, False]])
    assert count_discordant(a, b) == 1


def test_conclusions_as_text():
    rng = np.random.default_rng(5)
    target, models = simulate_models(rng, 3000, (1.0, 0.6, 1.0))
    scores = score_models(target, models, 500)
    difference = paired_difference(scores["accuracy"], [1], [0], 99)
    assert is_significant(difference, difference.p)
    text = conclusion(("small", "large"), "accuracy", difference, difference.p, 3000)
    size = [f"{-100 * x:.1f}" for x in (difference.value, difference.high, difference.low)]
    assert text == "large is better than small by {} points [{}, {}].".format(*size)
    assert "The exact test does not confirm it (p = 0.06)." in conclusion(
        ("small", "large"), "accuracy", difference, 0.06, 3000
    )
    assert "It is not significant after the correction for 3 pairs (corrected p = 0.06)." in conclusion(
        ("small", "large"), "accuracy", difference, 0.06, 3000, tests=3
    )
    equal = paired_difference(scores["accuracy"], [0], [2], 99)
    text = conclusion(("a", "b"), "accuracy", equal, equal.p, 3000)
    assert text.startswith("No significant difference between a and b on 3,000 images: ")
    assert "would be detected with 80 % power" in text


def test_identical_models_have_no_detectable_difference():
    target, models = simulate_models(np.random.default_rng(7), 200, (1.0,))
    difference = paired_difference(score_models(target, models * 2, 100)["accuracy"], [0], [1], 0)
    text = conclusion(("a", "b"), "accuracy", difference, difference.p, 200)
    assert text == "No significant difference between a and b on 200 images: 0.0 points [0.0, 0.0]."


def test_numbers_that_are_rounded_to_zero_have_no_sign():
    values = (-0.04, 0.04, 0.0, -0.06, 2.06)
    assert [signed_number(x, 1) for x in values] == ["0.0", "0.0", "0.0", "-0.1", "+2.1"]


def test_lower_log_loss_is_better():
    rng = np.random.default_rng(6)
    target = rng.integers(3, size=500)
    confident, unconfident = (np.where(np.eye(3)[target] > 0, p, (1 - p) / 2) for p in (0.9, 0.5))
    noise = rng.uniform(0.9, 1.0, (500, 1))
    difference = paired_difference(
        score_models(target, [confident * noise, unconfident], 200)["log_loss"], [0], [1], 500
    )
    assert conclusion(("confident", "unconfident"), "log_loss", difference, difference.p, 500).startswith(
        "confident is better than unconfident"
    )


def test_too_few_images_are_never_significant():
    target = np.array([0, 1, 0, 1])
    good, bad = np.eye(2)[target], np.eye(2)[1 - target]
    difference = paired_difference(score_models(target, [good, bad], 100)["accuracy"], [0], [1], 4)
    assert not is_significant(difference, difference.p)
