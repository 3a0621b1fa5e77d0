"""The chapter of a report on one recipe over several seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.analysis.figure import Figure, with_interval
from fer.analysis.section import Cell, Section, Table
from fer.analysis.seeds import Spread, over_seeds

_SHOWN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}


def median_seed(scores: Sequence[Mapping[str, Figure]]) -> int:
    """Return the position of the run whose accuracy is the median, the lower one of two."""
    order = sorted(range(len(scores)), key=lambda i: scores[i]["accuracy"].value or 0.0)
    return order[(len(order) - 1) // 2]


def section(abouts: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Figure]]) -> Section:
    """Tell each seed's figures, their mean and its interval.

    Args:
        abouts: Of each run's predictions.
        scores: What `fer.analysis.scores.score` returned for each.
    """
    spread = over_seeds(scores)
    n, shown = scores[0]["accuracy"].n, abouts[median_seed(scores)]
    rows: list[tuple[Cell, ...]] = [
        (str(about["run"]), about["seed"], *(with_interval(seed[key]) for key in _SHOWN))
        for about, seed in zip(abouts, scores, strict=True)
    ]
    rows.append(("mean", None, *(_mean(spread[key]) for key in _SHOWN)))
    rows.append(("deviation", None, *(_deviation(spread[key]) for key in _SHOWN)))
    words = (
        f"{len(scores)} runs of one recipe that differ in the seed alone, on the same {n:,} images. In the "
        "table the interval of the mean is Student's over the seeds: what other seeds would give on these "
        "images. The figure on top of the page is for other images too, so its interval is wider. The "
        f"chapters below are of one run, that of the median accuracy: {shown['run']} (seed {shown['seed']})."
    )
    table = Table(("run", "seed", *_SHOWN.values()), rows, "In percent, with 95 % intervals.")
    means = {key: _as_figure(spread[key], n) for key in _SHOWN}
    numbers = {**means, "runs": [about["run"] for about in abouts], "spread": spread}
    return Section("seeds", "Over the seeds", [words], [table], [], numbers)


def _as_figure(spread: Spread, n: int) -> Figure:
    note = f"mean of {spread.n} seeds"
    if spread.total_low is not None:
        note += ", interval over seeds and images"
    noted = "; ".join(filter(None, (note, spread.note)))
    return Figure(spread.mean, spread.total_low, spread.total_high, n, noted)


def _mean(spread: Spread) -> str | None:
    return with_interval(Figure(spread.mean, spread.low, spread.high, 0))


def _deviation(spread: Spread) -> str | None:
    return None if spread.deviation is None else f"{100 * spread.deviation:.2f}"
