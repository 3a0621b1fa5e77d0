"""Comparison of model versions: metrics, whether they are comparable, latency on this machine."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

from fer.app.card_text import (
    MISSING,
    estimate,
    export_date,
    export_latency_ms,
    format_estimate,
    format_size,
    training_data,
)
from fer.app.resources import Version, compute_slot, get_predictor
from fer.bundle.card import same_images, validation_metrics

COLUMNS = (
    "Version", "Comparable", "Accuracy [95 %]", "Macro-F1 [95 %]", "ECE [95 %]", "Size", "ms per face",
    "Trained on", "Evaluated on", "Exported",
)  # fmt: skip
NOT_COMPARABLE = "not comparable"
# Limits of a latency measurement; in a round, each model runs once.
_MAX_ROUNDS, _WARM_UP_ROUNDS, _MAX_SECONDS = 60, 3, 4.0


def unique_versions(versions: Sequence[Version]) -> list[Version]:
    """Return the versions with distinct model files, each with a distinct title.

    Args:
        versions: From `fer.app.resources.list_versions`. Of two with the same file, the registered one is
            kept.
    """
    unique: dict[str, Version] = {}
    for version in versions:
        previous = unique.get(version.card.model["sha256"])
        if previous is None or (version.card.version and not previous.card.version):
            unique[version.card.model["sha256"]] = version
    titles = Counter(version.title for version in unique.values())
    return [
        replace(version, title=f"{version.title} ({version.card.created[:10]}, {format_size(version.card)})")
        if titles[version.title] > 1
        else version
        for version in unique.values()
    ]


def comparison_rows(selected: Sequence[Version], measured_ms: Sequence[float] = ()) -> list[tuple[str, ...]]:
    """Return a table row per version, with the cells of `COLUMNS`.

    The metrics are those of the validation split, which every card has.

    Args:
        selected: Versions; the others are compared with the first.
        measured_ms: Milliseconds per face of each version, if measured in the app; else those of the card.
    """
    place = "here" if measured_ms else "at export"
    latencies = _latencies(selected, measured_ms)
    return [
        _row(selected[0], version, MISSING if ms is None else f"{ms:.1f}, {place}")
        for version, ms in zip(selected, latencies, strict=True)
    ]


def _latencies(selected: Sequence[Version], measured_ms: Sequence[float]) -> list[float | None]:
    return [*measured_ms] or [export_latency_ms(version.card) for version in selected]


def _row(first: Version, version: Version, latency: str) -> tuple[str, ...]:
    card, metrics = version.card, validation_metrics(version.card)
    comparable = "yes" if same_images(first.card, card) else NOT_COMPARABLE
    return (
        version.title,
        "reference" if version is first else comparable,
        format_estimate(estimate(metrics, "accuracy")),
        format_estimate(estimate(metrics, "macro_f1")),
        format_estimate(estimate(metrics, "ece_mass")),
        format_size(card),
        latency,
        training_data(card),
        f"{metrics['split']}, n {metrics['n']:,}" if metrics else MISSING,
        export_date(card),
    )


def comparison_notes(selected: Sequence[Version]) -> list[str]:
    """Return the caveats of the comparison, one or two sentences each."""
    first, notes = selected[0], []
    incomparable = [version.title for version in selected if not same_images(first.card, version.card)]
    if incomparable:
        notes.append(
            f"Not comparable with {first.title}: {', '.join(incomparable)}. The evaluation images or labels "
            "differ or are unknown, so a difference says nothing about the models."
        )
    if any(version.card.labels.names != first.card.labels.names for version in selected):
        notes.append("The models do not predict the same emotions in the same order.")
    if any(validation_metrics(version.card).get("selection_split") for version in selected):
        notes.append(
            "Each model was selected and calibrated on these images, so accuracy and ECE are optimistic "
            "(selection bias). If two intervals overlap, the difference may be due to chance: test it with "
            "fer-compare."
        )
    return notes


def accuracy_speed_points(
    selected: Sequence[Version], measured_ms: Sequence[float] = ()
) -> list[dict[str, object]]:
    """Return the points of the chart of accuracy against latency, see `speed_chart`.

    Args:
        selected: Versions. Those without accuracy or latency, or not comparable with the first, are skipped.
        measured_ms: Milliseconds per face of each version, if measured in the app; else those of the card.
    """
    points = []
    for version, ms in zip(selected, _latencies(selected, measured_ms), strict=True):
        accuracy = estimate(validation_metrics(version.card), "accuracy")
        if ms is not None and accuracy and same_images(selected[0].card, version.card):
            low, high = (
                None if (bound := accuracy.get(name)) is None else 100 * bound for name in ("low", "high")
            )
            value = 100 * accuracy["value"]
            points.append({"version": version.title, "ms": ms, "accuracy": value, "low": low, "high": high})
    return points


def measure_latencies(selected: Sequence[Version]) -> list[float]:
    """Return the milliseconds that each version takes for one face on this machine, in one compute slot.

    Raises:
        FerError: A version cannot be loaded.
    """
    calls = []
    for version in selected:
        classifier, side = get_predictor(version.reference).classifier, version.card.image_size
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        calls.append(partial(classifier, noise))
    with compute_slot():
        return time_interleaved(calls)


def time_interleaved(calls: Sequence[Callable[[], object]], seconds: float = _MAX_SECONDS) -> list[float]:
    """Return the median milliseconds of each call.

    The calls alternate, so that a temporary load on the machine slows all of them alike.

    Args:
        calls: Functions to time.
        seconds: Time after which no further round starts.
    """
    for call in [*calls] * _WARM_UP_ROUNDS:
        call()
    durations: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + seconds
    for _ in range(_MAX_ROUNDS):
        for times, call in zip(durations, calls, strict=True):
            start = perf_counter()
            call()
            times.append(1000 * (perf_counter() - start))
        if perf_counter() > end:
            break
    return [median(times) for times in durations]
