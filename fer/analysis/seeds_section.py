"""The report section on several seeds of one recipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.analysis.figure import Estimate, format_with_interval
from fer.analysis.section import Cell, Section, Table
from fer.analysis.seeds import SeedSummary, summarize_seeds

_SEED_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}


def median_run(scores: Sequence[Mapping[str, Estimate]]) -> int:
    """Return the index of the run with the median accuracy, the lower of two."""
    order = sorted(range(len(scores)), key=lambda i: scores[i]["accuracy"].value or 0.0)
    return order[(len(order) - 1) // 2]


def seeds_section(abouts: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Estimate]]) -> Section:
    """Return the section with the scores of each seed, their mean and its interval.

    Args:
        abouts: ``about`` of the predictions of each run.
        scores: What `fer.analysis.scores.score` returned for each.
    """
    summaries = summarize_seeds(scores)
    n, median = scores[0]["accuracy"].n, abouts[median_run(scores)]
    rows: list[tuple[Cell, ...]] = [
        (str(about["run"]), about["seed"], *(format_with_interval(seed[key]) for key in _SEED_METRICS))
        for about, seed in zip(abouts, scores, strict=True)
    ]
    rows.append(("mean", None, *(_format_mean(summaries[key]) for key in _SEED_METRICS)))
    rows.append(("standard deviation", None, *(_format_deviation(summaries[key]) for key in _SEED_METRICS)))
    paragraph = (
        f"{len(scores)} runs of one recipe that differ only in the seed, on the same {n:,} images. In the "
        "table the interval of the mean is Student's t over the seeds: it covers other seeds on these "
        "images. The interval at the top of the page covers other images as well, so it is wider. The "
        f"sections below are about one run, the one with the median accuracy: {median['run']} (seed "
        f"{median['seed']})."
    )
    table = Table(("run", "seed", *_SEED_METRICS.values()), rows, "In percent, with 95 % intervals.")
    means = {key: _mean_estimate(summaries[key], n) for key in _SEED_METRICS}
    numbers = {**means, "runs": [about["run"] for about in abouts], "spread": summaries}
    return Section("seeds", "Variation over seeds", [paragraph], [table], [], numbers)


def _mean_estimate(summary: SeedSummary, n: int) -> Estimate:
    note = f"mean of {summary.n} seeds"
    if summary.total_low is not None:
        note += ", interval over seeds and images"
    notes = "; ".join(filter(None, (note, summary.note)))
    return Estimate(summary.mean, summary.total_low, summary.total_high, n, notes)


def _format_mean(summary: SeedSummary) -> str | None:
    return format_with_interval(Estimate(summary.mean, summary.low, summary.high, 0))


def _format_deviation(summary: SeedSummary) -> str | None:
    return None if summary.deviation is None else f"{100 * summary.deviation:.2f}"
