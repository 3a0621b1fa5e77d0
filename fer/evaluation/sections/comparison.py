"""The report section on a comparison: conclusions, scores, all pairs, and a plot of score against speed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fer.analysis.metrics.comparison import (
    LOWER_IS_BETTER,
    Pair,
    RankedCandidates,
    format_difference,
    format_signed,
)
from fer.analysis.metrics.emotion_recall import EmotionRecall, compare_emotions
from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.matching import MatchedImages
from fer.analysis.metrics.paired import METRICS
from fer.analysis.plots.comparison import SpeedPoint, plot_speed
from fer.analysis.plots.style import png_bytes
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.core.text import with_interval

# Metric -> display name
TITLES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "log_loss": "log loss"}
# Maximum number of conclusions as text; the table of pairs has all of them
_NUM_CONCLUSIONS = 6
# Maximum number of candidates that the best one is compared with by emotion
_NUM_BY_EMOTION = 3
# Remark on candidates with a single run: if all have one, and if some have
_ALL_SINGLE = " Each was trained once, so the conclusions hold for these runs, not for their recipes."
_SOME_SINGLE = " Recipes that were trained once are assumed to vary over seeds as much as the others."


def comparison_section(
    key: str, comparison: RankedCandidates, images: MatchedImages, speed: str, notes: Sequence[str] = ()
) -> Section:
    """Return the section on a comparison under one set of labels.

    ``speed`` names the speed column and axis: what `Candidate.images_per_second` measures. ``notes`` are
    shown as paragraphs.
    """
    best, *others = comparison.candidates
    by_emotion = {other.name: compare_emotions(images, best, other) for other in others[:_NUM_BY_EMOTION]}
    tables = [_score_table(comparison, images, speed), _pair_table(comparison)]
    tables += [_emotion_table(best.name, name, recalls) for name, recalls in by_emotion.items()]
    return Section(
        key,
        f"Comparison under the labels of {images.name}",
        [*conclusions(comparison), *images.notes, *notes, _method(comparison)],
        tables,
        _plots(key, comparison, speed),
        _numbers(comparison, images, speed) | {"by_emotion": by_emotion},
    )


def conclusions(comparison: RankedCandidates) -> list[str]:
    """Return the conclusions on the best candidate against each of the others."""
    best = comparison.candidates[0].name
    pairs = [pair for pair in comparison.pairs if pair.names[0] == best]
    sentences = [pair.verdict for pair in pairs[:_NUM_CONCLUSIONS]]
    if len(pairs) > _NUM_CONCLUSIONS:
        worse = sum(pair.shown for pair in pairs)
        sentences.append(f"In total, {best} is better than {worse} of {len(pairs)} others.")
    return sentences


def format_score(metric: str, estimate: Estimate) -> str:
    """Return an estimate as a table shows it: ``58.7 % [57.1, 60.2]``."""
    if estimate.value is None:
        return estimate.note
    unit = "" if metric in LOWER_IS_BETTER else " %"
    show = partial(format_difference, metric)
    return with_interval(estimate.value, estimate.low, estimate.high, show, unit)


def _score_table(comparison: RankedCandidates, images: MatchedImages, speed: str) -> Table:
    metrics = (comparison.metric, *(name for name in METRICS if name != comparison.metric))
    titles = tuple(TITLES[name] for name in metrics)
    columns = ("recipe or run", "seeds", *titles, "parameters", "MB", speed, "training s")
    rows: list[tuple[Cell, ...]] = [
        (
            candidate.name,
            len(candidate.members),
            *(format_score(name, estimates[name]) for name in metrics),
            f"{candidate.parameters:,}",
            f"{candidate.megabytes:.1f}",
            None if candidate.images_per_second is None else f"{candidate.images_per_second:,.0f}",
            None if candidate.fit_seconds is None else f"{candidate.fit_seconds:,.0f}",
        )
        for candidate, estimates in zip(comparison.candidates, comparison.estimates, strict=True)
    ]
    caption = (
        f"n = {comparison.images:,} images, labels of {images.name}; 95 % intervals; MB is the size of one "
        "checkpoint or ONNX file."
    )
    return Table(columns, rows, caption)


def _pair_table(comparison: RankedCandidates) -> Table:
    others = tuple(name for name in ("accuracy", "macro_f1") if name != comparison.metric)
    metrics = (comparison.metric, *others)
    tests = ("only A correct", "only B correct", "McNemar p", "p", "p (Holm)")
    columns = ("A", "B", "conclusion", *(f"{TITLES[name]}, A - B" for name in metrics), *tests)
    rows = [
        (
            *pair.names,
            f"{pair.names[0]} is better" if pair.shown else "no significant difference",
            *(format_signed(name, pair.differences[name]) for name in metrics),
            *_tests(pair),
        )
        for pair in comparison.pairs
    ]
    caption = (
        f"n = {comparison.images:,}; percentage points (log loss: nats) with 95 % intervals. The conclusion "
        f"is about {TITLES[comparison.metric]}."
    )
    return Table(columns, rows, caption)


def _tests(pair: Pair) -> list[Cell]:
    only = pair.only or (None, None)
    exact = None if pair.mcnemar_p is None else _format_p(pair.mcnemar_p)
    return [*only, exact, _format_p(pair.p), _format_p(pair.p_holm)]


def _emotion_table(a: str, b: str, recalls: Sequence[EmotionRecall]) -> Table:
    """Return a table of the recall of each emotion, and its paired difference."""
    rows: list[tuple[Cell, ...]] = [
        (
            one.emotion,
            one.images,
            *(format_score("accuracy", recall) for recall in one.recalls),
            "too few images" if one.difference is None else format_signed("accuracy", one.difference),
            None if one.p_holm is None else _format_p(one.p_holm),
        )
        for one in recalls
    ]
    columns = ("emotion", "images", f"recall of {a}", f"recall of {b}", "difference", "p (Holm)")
    caption = (
        f"Recall by emotion: {a} (A) and {b} (B); A - B in percentage points, on the same images. Intervals "
        f"are for each emotion alone; p is corrected for {len(recalls)} emotions."
    )
    return Table(columns, rows, caption)


def _format_p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _method(comparison: RankedCandidates) -> str:
    """Return how the intervals and tests were computed."""
    num_seeds = {len(candidate.members) for candidate in comparison.candidates}
    source = "images" if num_seeds == {1} else "images and seeds"
    single = ""
    if 1 in num_seeds:
        single = _SOME_SINGLE if len(num_seeds) > 1 else _ALL_SINGLE
    tests = len(comparison.pairs)
    holm = f" p-values are corrected for {tests} pairs (Holm)." if tests > 1 else ""
    return (
        f"Differences are paired: on the same images. Intervals are over {source}: 2,000 resamples within "
        f"each emotion.{holm} A difference counts as significant if its interval excludes 0 and p is below "
        f"0.05.{single}"
    )


def _plots(key: str, comparison: RankedCandidates, speed: str) -> list[Plot]:
    """Return the plot of score against speed, if speeds are known."""
    metric, is_loss = comparison.metric, comparison.metric in LOWER_IS_BETTER
    scale, unit = (1, "") if is_loss else (100, ", %")
    points = []
    for candidate, estimates in zip(comparison.candidates, comparison.estimates, strict=True):
        if candidate.images_per_second:
            score = estimates[metric]
            label = f"{candidate.name}  {format_score(metric, replace(score, low=None))}"
            # Without an interval, its ends are the value
            limits = (score.value if limit is None else limit for limit in (score.low, score.high))
            value, low, high = (scale * (number or 0.0) for number in (score.value, *limits))
            points.append(SpeedPoint(label, value, low, high, candidate.images_per_second))
    if not points:
        return []
    title = TITLES[metric]
    axes, heading = (speed, f"{title}{unit}"), f"{title[0].upper()}{title[1:]} against speed"
    figure = plot_speed(points, axes, heading, is_loss)
    alt = f"{title} of {len(points)} models against images per second"
    caption = f"n = {comparison.images:,} images. The line is the Pareto front."
    return [Plot(f"{key}_speed", png_bytes(figure), alt, caption)]


def _numbers(comparison: RankedCandidates, images: MatchedImages, speed: str) -> dict[str, Any]:
    candidates = [
        {**vars(candidate), "speed_is": speed, "scores": estimates}
        for candidate, estimates in zip(comparison.candidates, comparison.estimates, strict=True)
    ]
    return {
        "metric": comparison.metric,
        "images": comparison.images,
        "labels": images.name,
        "emotions": images.labels.names,
        "entrants": candidates,
        "pairs": comparison.pairs,
    }
