"""Scores of several models on the same images: paired differences, and intervals over images and seeds.

All models are scored on the same stratified resamples of the images, so the difficulty of images that they
share cancels in a difference. The interval of a difference is ``d ± t * se``. Its variance has two parts:

* **images**: the variance of the difference over the resamples, averaged over each recipe's seeds;
* **seeds**: ``s² (1/a + 1/b)`` for recipes trained with ``a`` and ``b`` seeds. The variance ``s²`` is pooled
  over all recipes of the comparison, so that recipes with one seed use that of the others. If all have one
  seed, this part is 0, and conclusions are about the runs, not about their recipes.

The degrees of freedom of the sum are Satterthwaite's (1946, https://doi.org/10.2307/3002019). False positives
at a nominal 5 % in 400 simulated pairs of equally good recipes, whose seeds vary by 4 points on 600 images:
36 % with the variance over images alone; 7 % (three seeds against three) and 24 % (three against one) with a
bootstrap of seeds and images; 4 % and 5 % with this method. Where seeds have no effect it gives 2 %:
interactions of image and seed count in both parts, so the test is conservative.

`summarize_seeds` gives the same kind of interval for one recipe, from the finished scores of its seeds.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from fer.analysis.metrics.classification import overall_scores
from fer.analysis.metrics.estimate import Estimate, estimate_from_resamples, join_notes, without_interval
from fer.analysis.metrics.intervals import Z95, metric_range, resample_weights

# Metrics that models are compared by
METRICS = ("accuracy", "macro_f1", "uar", "log_loss")
# Significance level, and power of the detectable difference
ALPHA, POWER = 0.05, 0.8
# Degrees of freedom at which the t distribution is practically normal
_LARGE_DF = 1e9
_MISSING = Estimate(None, None, None, 0)


@dataclass(frozen=True)
class Scores:
    """A metric of M models on the same images.

    Attributes:
        value: float64 ``(M,)``, on the original images.
        resampled: float64 ``(R, M)``, on R resamples; a row is the same resample for all models.
        no_interval: Why the resamples give no valid interval; ``""`` where they do.
        limits: Least and largest possible value; intervals are clipped to them.
    """

    value: np.ndarray
    resampled: np.ndarray
    no_interval: str = ""
    limits: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class SeedVariance:
    """Variance of a metric over seeds, and its degrees of freedom; 0 where the variance is unknown."""

    variance: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class Difference:
    """A metric of A minus that of B. The field names are keys of metrics.json.

    Attributes:
        value: The difference; accuracies are fractions.
        low: Lower end of its 95 % interval; NaN where there is none.
        high: Upper end.
        p: Two-sided p-value of "no difference"; 1 where no variance is known.
        detectable: Minimum detectable difference: the true difference that is detected with a power of at
            least 80 %, corrected for all pairs tested; 0 where unknown.
        deciding: Number of discordant images (`count_discordant`); for the log loss, of all images.
        seeds: Number of seeds of A and of B.
        no_interval: Why there is no interval; ``""`` where there is one.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float
    deciding: int
    seeds: tuple[int, int]
    no_interval: str = ""


@dataclass(frozen=True)
class SeedSummary:
    """A score over training runs that differ only in the seed. The field names are keys of metrics.json.

    Attributes:
        mean: Mean over the seeds; None where no seed has the score.
        deviation: Sample standard deviation (ddof = 1); None with fewer than two seeds.
        low: Lower end of the 95 % t-interval of the mean; None with fewer than two seeds.
        high: Upper end.
        total_low: Lower end of the interval over seeds and images; None with fewer than two seeds, and where
            no seed has an interval over images.
        total_high: Upper end.
        n: Number of seeds that have the score.
        values: The score of each of them, in their order.
        note: Remark for the reader.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    total_low: float | None
    total_high: float | None
    n: int
    values: tuple[float, ...]
    note: str = ""


def score_models(
    target: np.ndarray, probs: Sequence[np.ndarray], resamples: int = 2000, seed: int = 0
) -> dict[str, Scores]:
    """Score M models on the same images and on the same stratified bootstrap resamples of them.

    Args:
        target: int64 ``(N,)``, class numbers from 0.
        probs: For each model float ``(N, K)``, rows in the order of ``target``.
        resamples: Number of resamples R.
        seed: Seed of the resampling.

    Returns:
        `Scores` for each of `METRICS`. Macro-F1 and UAR are over the emotions that have images.
    """
    values = np.stack([_per_image(target, table) for table in probs], 1)
    emotion_rows = [np.flatnonzero(target == emotion) for emotion in range(values.shape[2] - 1)]
    groups = [(rows, values[rows]) for rows in emotion_rows]
    original = _metrics([_sums(np.ones((1, len(target)), np.float32), groups)])
    draws = resample_weights(target, resamples, np.random.default_rng(seed))
    resampled = _metrics([_sums(weights, groups) for weights in draws])
    return {
        metric: Scores(original[metric][0], resampled[metric], limits=metric_range(metric))
        for metric in METRICS
    }


def _per_image(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return float32 ``(N, K + 1)``: the one-hot prediction, then the log loss in nats."""
    prediction = np.eye(probs.shape[1], dtype=np.float32)[probs.argmax(1)]
    target_probs = probs[np.arange(len(target)), target].astype(np.float64)
    loss = -np.log(np.maximum(target_probs, np.finfo(np.float64).eps))
    return np.column_stack([prediction, loss.astype(np.float32)])


def _sums(weights: np.ndarray, groups: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the weighted sums of the values by true emotion, float64 ``(r, M, K, K + 1)``.

    Args:
        weights: float32 ``(r, N)``, how often each image is in each resample.
        groups: For each true emotion its rows, int64 ``(n,)``, and their values, float32 ``(n, M, K + 1)``.
    """
    # An emotion without images has no row, so the number of columns is given
    columns = math.prod(groups[0][1].shape[1:])
    sums = [weights[:, rows] @ values.reshape(len(rows), columns) for rows, values in groups]
    shape = (len(weights), *groups[0][1].shape[1:])
    return np.stack([group_sum.reshape(shape) for group_sum in sums], 2).astype(np.float64)


def _metrics(chunks: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return each metric, float64 ``(R, M)``, from chunks of sums by true emotion ``(r, M, K, K + 1)``."""
    sums = np.concatenate(chunks)
    counts = sums[..., :-1]
    return {**overall_scores(counts), "log_loss": sums[..., -1].sum(-1) / counts.sum((-2, -1))}


def pooled_seed_variance(scores: Scores, recipes: Iterable[Sequence[int]]) -> SeedVariance:
    """Return the variance of a metric over seeds, pooled over recipes.

    Args:
        recipes: For each recipe, the columns of its seeds in ``scores``.
    """
    values = [scores.value[list(columns)] for columns in recipes]
    degrees_of_freedom = sum(len(seeds) - 1 for seeds in values)
    squares = sum(float(((seeds - seeds.mean()) ** 2).sum()) for seeds in values)
    variance = squares / degrees_of_freedom if degrees_of_freedom else 0.0
    return SeedVariance(variance, degrees_of_freedom)


def mean_over_seeds(
    scores: Scores, columns: Sequence[int], n: int, seeds: SeedVariance | None = None
) -> Estimate:
    """Return the mean over a recipe's seeds with its interval over images and, where known, over seeds.

    Args:
        columns: Columns of the recipe's seeds.
        seeds: Variance over seeds; None computes it from these seeds.
    """
    values, draws = scores.value[columns], scores.resampled[:, columns].mean(1)
    seeds = seeds or pooled_seed_variance(scores, [columns])
    if not seeds.degrees_of_freedom:
        estimate = estimate_from_resamples(float(values[0]), draws, n)
    else:
        half = half_width(float(draws.var(ddof=1)), seeds.variance / len(values), seeds.degrees_of_freedom)
        value, note = float(values.mean()), f"{len(values)} seeds" if len(values) > 1 else ""
        lowest, highest = scores.limits
        estimate = Estimate(value, max(value - half, lowest), min(value + half, highest), n, note)
    return without_interval(estimate, scores.no_interval) if scores.no_interval else estimate


def paired_difference(
    scores: Scores,
    a: Sequence[int],
    b: Sequence[int],
    discordant: int,
    seeds: SeedVariance | None = None,
    tests: int = 1,
) -> Difference:
    """Return the difference of two recipes, each the mean over its seeds.

    Args:
        a: Columns of A's seeds.
        b: Columns of B's seeds.
        discordant: Number of discordant images (`count_discordant`).
        seeds: Variance over seeds; None computes it from the seeds of A and B.
        tests: Number of pairs compared; the caller corrects p-values for it afterwards.
    """
    value, num_seeds = float(scores.value[a].mean() - scores.value[b].mean()), (len(a), len(b))
    if scores.no_interval:
        return Difference(value, math.nan, math.nan, 1.0, 0.0, discordant, num_seeds, scores.no_interval)
    by_images = float((scores.resampled[:, a].mean(1) - scores.resampled[:, b].mean(1)).var(ddof=1))
    seeds = seeds or pooled_seed_variance(scores, (a, b))
    by_seeds = seeds.variance * (1 / len(a) + 1 / len(b))
    error, degrees_of_freedom = combine_variances(by_images, by_seeds, seeds.degrees_of_freedom)
    half = half_width(by_images, by_seeds, seeds.degrees_of_freedom)
    p = 2 * float(stdtr(degrees_of_freedom, -abs(value) / error)) if error else 1.0
    # The critical value of the first, strictest step of Holm's correction
    critical = float(stdtrit(degrees_of_freedom, 1 - ALPHA / tests / 2))
    detectable = max(critical * error, half) + float(stdtrit(degrees_of_freedom, POWER)) * error
    return Difference(value, value - half, value + half, p, detectable, discordant, num_seeds)


def combine_variances(by_images: float, by_seeds: float, degrees_of_freedom: int) -> tuple[float, float]:
    """Return the standard error over images and seeds, and Satterthwaite's degrees of freedom.

    ``by_images`` and ``by_seeds`` are variances; ``degrees_of_freedom`` are of the latter.
    """
    total = by_images + by_seeds
    return math.sqrt(total), degrees_of_freedom * (total / by_seeds) ** 2 if by_seeds else _LARGE_DF


def half_width(by_images: float, by_seeds: float, degrees_of_freedom: int) -> float:
    """Return half the width of a 95 % interval over images and seeds, at least that over seeds alone.

    Satterthwaite's degrees of freedom grow faster with the variance over images than the total variance does.
    With two seeds and equal variances over seeds and images, that interval alone covers 91 % (simulated),
    this one 95 to 98 %. The arguments are those of `combine_variances`.
    """
    error, combined = combine_variances(by_images, by_seeds, degrees_of_freedom)
    seeds_alone = float(stdtrit(degrees_of_freedom, 1 - ALPHA / 2)) * math.sqrt(by_seeds)
    return max(float(stdtrit(combined, 1 - ALPHA / 2)) * error, seeds_alone)


def count_discordant(correct_a: np.ndarray, correct_b: np.ndarray) -> int:
    """Return the number of images on which different fractions of A's and B's seeds are correct.

    The arguments are correct predictions, bool ``(seeds, N)`` each.
    """
    return int((correct_a.mean(0) != correct_b.mean(0)).sum())


def summarize_seeds(scores: Sequence[Mapping[str, Estimate]]) -> dict[str, SeedSummary]:
    """Summarise the scores of several seeds.

    The interval is for the mean over seeds on the same images: mean +- t * deviation / sqrt(n), Student 1908
    (https://doi.org/10.2307/2331554). It assumes that scores are normal over seeds, and does not cover other
    images. The total interval does: it adds the variance over images to that of the mean, with
    Satterthwaite's degrees of freedom. The variance over images comes from the interval of each seed and is
    taken as fully correlated between seeds. Both intervals are clipped to the range of the score.

    Args:
        scores: As returned by `fer.analysis.metrics.classification.score`, for one seed or more.
    """
    names = dict.fromkeys(name for seed in scores for name in seed)
    return {name: _summarize(name, [seed.get(name, _MISSING) for seed in scores]) for name in names}


def _summarize(name: str, estimates: Sequence[Estimate]) -> SeedSummary:
    values = tuple(estimate.value for estimate in estimates if estimate.value is not None)
    n, missing = len(values), len(estimates) - len(values)
    note = f"not defined for {missing} of {len(estimates)} seeds" if missing else ""
    if n < 2:
        note = join_notes(note, "no interval with fewer than two seeds")
        return SeedSummary(values[0] if values else None, None, None, None, None, None, n, values, note)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    halves = [(one.high - one.low) / 2 for one in estimates if one.low is not None and one.high is not None]
    total = None
    if halves:
        by_images = statistics.fmean((width / Z95) ** 2 for width in halves)
        total = half_width(by_images, deviation**2 / n, n - 1)
    else:
        reasons = (estimate.note for estimate in estimates if estimate.value is not None)
        note = join_notes(*dict.fromkeys((note, *reasons)))
    lowest, highest = metric_range(name)
    low, high, total_low, total_high = (
        None if width is None else min(max(mean + sign * width, lowest), highest)
        for width in (half, total)
        for sign in (-1, 1)
    )
    return SeedSummary(mean, deviation, low, high, total_low, total_high, n, values, note)
