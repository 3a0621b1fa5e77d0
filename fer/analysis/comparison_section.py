"""A comparison as a chapter of a report: the words, the table, all pairs, and accuracy against speed."""

from collections.abc import Sequence
from typing import Any

from fer.analysis.common_images import Truth
from fer.analysis.comparison import Comparison, Entrant, Pair
from fer.analysis.figure import Figure
from fer.analysis.paired import METRICS
from fer.analysis.plots import png_bytes
from fer.analysis.section import Cell, Picture, Section, Table
from fer.analysis.speed_plot import Point, plot_speed
from fer.analysis.verdict import LESS_IS_BETTER, amount

TITLES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "log_loss": "log loss"}
_WORDS = 6  # verdicts that are written out; the table of pairs has all
_SINGLE = {
    False: " Each stands for one training: the verdict is on these runs, not on their recipes.",
    True: " What was trained once is taken to vary over seeds as much as the others.",
}


def section(key: str, found: Comparison, truth: Truth, speed: str, notes: Sequence[str] = ()) -> Section:
    """Return the chapter on a comparison under one set of labels.

    Args:
        key: Of the section.
        found: What `fer.analysis.comparison.compare` returned.
        truth: The images and labels.
        speed: What `Entrant.images_per_second` is, the name of its column and axis.
        notes: What else a reader must know: the split, runs that count once, …
    """
    tables = [_board(found, truth, speed), _pairs(found)]
    return Section(
        key,
        f"Comparison under the labels of {truth.name}",
        [*sentences(found), *truth.notes, *notes, _method(found)],
        tables,
        _picture(key, found, speed),
        _numbers(found, truth, speed),
    )


def sentences(found: Comparison) -> list[str]:
    """Return the verdicts of the first in the table against each of the others."""
    leading = [pair for pair in found.pairs if pair.names[0] == found.entrants[0].name]
    words = [pair.verdict for pair in leading[:_WORDS]]
    if len(leading) > _WORDS:
        beaten = sum(pair.shown for pair in leading)
        words.append(f"In all, {found.entrants[0].name} is better than {beaten} of {len(leading)} others.")
    return words


def shown(metric: str, figure: Figure) -> str:
    """Return a figure as a table shows it: ``58.7 % [57.1, 60.2]``."""
    if figure.value is None:
        return figure.note
    unit = "" if metric in LESS_IS_BETTER else " %"
    value = f"{amount(metric, figure.value)}{unit}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{amount(metric, figure.low)}, {amount(metric, figure.high)}]"


def _board(found: Comparison, truth: Truth, speed: str) -> Table:
    metrics = (found.metric, *(name for name in METRICS if name != found.metric))
    scores = tuple(TITLES[name] for name in metrics)
    columns = ("recipe or run", "seeds", *scores, "parameters", "MB", speed, "training s")
    rows: list[tuple[Cell, ...]] = [
        (
            entrant.name,
            len(entrant.members),
            *(shown(name, figures[name]) for name in metrics),
            f"{entrant.parameters:,}",
            f"{entrant.megabytes:.1f}",
            None if entrant.images_per_second is None else f"{entrant.images_per_second:,.0f}",
            None if entrant.fit_seconds is None else f"{entrant.fit_seconds:,.0f}",
        )
        for entrant, figures in zip(found.entrants, found.figures, strict=True)
    ]
    caption = f"n = {found.images:,} images, labels of {truth.name}; 95 % intervals; MB of one checkpoint."
    return Table(columns, rows, caption)


def _pairs(found: Comparison) -> Table:
    others = tuple(name for name in ("accuracy", "macro_f1") if name != found.metric)
    metrics = (found.metric, *others)
    tests = ("A alone right", "B alone right", "McNemar p", "p", "p (Holm)", "verdict")
    columns = ("A", "B", *(f"{TITLES[name]}, A - B" for name in metrics), *tests)
    rows = [(*pair.names, *_differences(pair, metrics), *_tests(pair)) for pair in found.pairs]
    caption = (
        f"n = {found.images:,}; points of a per cent (log loss: nats) with 95 % intervals. Verdicts are on "
        f"{TITLES[found.metric]}."
    )
    return Table(columns, rows, caption)


def _differences(pair: Pair, metrics: Sequence[str]) -> list[str]:
    found = [(name, pair.differences[name]) for name in metrics]
    return [
        amount(name, d.value, True)
        if d.no_interval
        else f"{amount(name, d.value, True)} [{amount(name, d.low, True)}, {amount(name, d.high, True)}]"
        for name, d in found
    ]


def _tests(pair: Pair) -> list[Cell]:
    only = pair.only or (None, None)
    exact = None if pair.mcnemar_p is None else _p(pair.mcnemar_p)
    verdict = "cannot tell" if not pair.shown else f"{pair.names[0]} is better"
    return [*only, exact, _p(pair.p), _p(pair.p_holm), verdict]


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _method(found: Comparison) -> str:
    """Say how sure is sure."""
    seeds = {len(entrant.members) for entrant in found.entrants}
    over = "images" if seeds == {1} else "images and seeds"
    single = _SINGLE[len(seeds) > 1] if 1 in seeds else ""
    tests = len(found.pairs)
    holm = f" p-values are corrected for {tests} pairs (Holm)." if tests > 1 else ""
    return (
        f"Differences are of the same images; intervals are over {over}: 2,000 resamples within each emotion."
        f"{holm} One is called better where its interval leaves out 0 and p is below 0.05.{single}"
    )


def _picture(key: str, found: Comparison, speed: str) -> list[Picture]:
    """Return score against speed, where speeds are known."""
    metric, scale = found.metric, 1 if found.metric in LESS_IS_BETTER else 100
    points = [
        Point(
            _label(entrant, metric, figures[metric]),
            *_span(figures[metric], scale),
            entrant.images_per_second,
        )
        for entrant, figures in zip(found.entrants, found.figures, strict=True)
        if entrant.images_per_second
    ]
    if not points:
        return []
    title, unit = TITLES[metric], "" if metric in LESS_IS_BETTER else ", %"
    figure = plot_speed(
        points,
        (speed, f"{title}{unit}"),
        f"{title[0].upper()}{title[1:]} against speed",
        metric in LESS_IS_BETTER,
    )
    alt = f"{title} of {len(points)} models against images a second"
    caption = f"n = {found.images:,} images. The line joins those that no other beats in both."
    return [Picture(f"{key}_speed", png_bytes(figure), alt, caption)]


def _label(entrant: Entrant, metric: str, figure: Figure) -> str:
    unit = "" if metric in LESS_IS_BETTER else " %"
    return f"{entrant.name}  {amount(metric, figure.value or 0.0)}{unit}"


def _span(figure: Figure, scale: int) -> tuple[float, float, float]:
    """Return value, low and high on the axis; a figure without an interval has no bar."""
    value = figure.value or 0.0
    low, high = (value if end is None else end for end in (figure.low, figure.high))
    return scale * value, scale * low, scale * high


def _numbers(found: Comparison, truth: Truth, speed: str) -> dict[str, Any]:
    entrants = [
        {**vars(entrant), "speed_is": speed, "scores": figures}
        for entrant, figures in zip(found.entrants, found.figures, strict=True)
    ]
    return {
        "metric": found.metric,
        "images": found.images,
        "labels": truth.name,
        "emotions": truth.labels.names,
        "entrants": entrants,
        "pairs": found.pairs,
    }
