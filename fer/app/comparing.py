"""Versions of models side by side: whether their figures may be compared, and how fast they are here."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from fer.app.facts import DASH, exported_ms, figure, made, megabytes, percent, trained_on
from fer.app.serving import Version, predictor, turn
from fer.bundle.card import Card
from fer.bundle.table import same_images

HEAD = (
    "Version", "Comparable", "Accuracy [95 %]", "Macro-F1 [95 %]", "ECE [95 %]", "Size", "ms a face",
    "Trained on", "Scored on", "Made",
)  # fmt: skip
NOT_COMPARABLE = "not comparable"
_TURNS, _WARM_UP, _SECONDS = 60, 3, 4.0  # turns at most, those before them, time at most


def distinct(known: Sequence[Version]) -> list[Version]:
    """Return versions whose model files differ, each with a title of its own.

    Args:
        known: From `fer.app.serving.versions`; of two with one file the numbered one stays.
    """
    kept: dict[str, Version] = {}
    for version in known:
        before = kept.get(version.card.model["sha256"])
        if before is None or (version.card.version and not before.card.version):
            kept[version.card.model["sha256"]] = version
    titles = Counter(version.title for version in kept.values())
    return [
        replace(version, title=f"{version.title} ({version.card.created[:10]}, {megabytes(version.card)})")
        if titles[version.title] > 1 else version
        for version in kept.values()
    ]  # fmt: skip


def rows(chosen: Sequence[Version], here: Sequence[float] = ()) -> list[tuple[str, ...]]:
    """Return a row for each version, below `HEAD`; figures are of the validation split, which all have.

    Args:
        chosen: Versions; the others are compared with the first.
        here: Milliseconds a face of each, where they were measured in the app; else those of the card.
    """
    said = [f"{ms:.1f}, here" for ms in here] or [_ms_of(version.card) for version in chosen]
    return [_row(chosen[0], version, ms) for version, ms in zip(chosen, said, strict=True)]


def _row(first: Version, version: Version, ms: str) -> tuple[str, ...]:
    card, part = version.card, validation(version.card)
    return (
        version.title, _verdict(first, version), percent(figure(part, "accuracy")),
        percent(figure(part, "macro_f1")), percent(figure(part, "ece_mass")), megabytes(card), ms,
        trained_on(card), _images(part), made(card),
    )  # fmt: skip


def _verdict(first: Version, version: Version) -> str:
    if version is first:
        return "reference"
    return "yes" if same_images(first.card, version.card) else NOT_COMPARABLE


def _images(part: Mapping[str, Any]) -> str:
    return f"{part['split']}, n {part['n']:,}" if part else DASH


def validation(card: Card) -> Mapping[str, Any]:
    """Return the figures of the validation split; empty where there are none."""
    part: Mapping[str, Any] = card.metrics.get("val", {})
    return part


def _ms_of(card: Card) -> str:
    ms = exported_ms(card)
    return DASH if ms is None else f"{ms:.1f}, at export"


def notes(chosen: Sequence[Version]) -> list[str]:
    """Return what must be known before the figures are compared, a sentence or two each."""
    first, said = chosen[0], []
    strange = [other.title for other in chosen if not same_images(first.card, other.card)]
    if strange:
        said.append(
            f"Not comparable with {first.title}: {', '.join(strange)}. Scored on other images or under other "
            "labels, or it is not known on which: a difference says nothing about the models."
        )
    if any(other.card.labels.names != first.card.labels.names for other in chosen):
        said.append("The models do not name the same emotions in the same order.")
    if any(validation(other.card).get("selection_split") for other in chosen):
        said.append(
            "Each model was chosen on these images, and its confidence calibrated, which flatters both. "
            "Where two intervals overlap much, the difference may be chance: fer-compare tests it."
        )
    return said


def points(chosen: Sequence[Version], here: Sequence[float] = ()) -> list[dict[str, object]]:
    """Return the points of a chart of accuracy against speed.

    Args:
        chosen: Versions; left out are those that lack either, or cannot be compared with the first.
        here: Milliseconds a face of each, measured in the app; else those of the cards are taken.
    """
    speeds: list[float | None] = [*here] or [exported_ms(version.card) for version in chosen]
    found = []
    for version, ms in zip(chosen, speeds, strict=True):
        accuracy = figure(validation(version.card), "accuracy")
        if ms is not None and accuracy and same_images(chosen[0].card, version.card):
            low, high = accuracy.get("low"), accuracy.get("high")
            found.append(
                {"version": version.title, "ms": ms, "accuracy": 100 * accuracy["value"],
                 "low": None if low is None else 100 * low, "high": None if high is None else 100 * high}
            )  # fmt: skip
    return found


def measure_versions(chosen: Sequence[Version]) -> list[float]:
    """Return the milliseconds that each version takes for one face on this machine, one after the other.

    Raises:
        FerError: A version cannot be loaded.
    """
    calls = []
    for version in chosen:
        classifier, side = predictor(version.reference).classifier, version.card.image_size
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        calls.append(partial(classifier, noise))
    with turn():
        return in_turns(calls)


def in_turns(calls: Sequence[Callable[[], object]], seconds: float = _SECONDS) -> list[float]:
    """Return the median milliseconds of each call, all in turns, so that a busy moment meets all of them.

    Args:
        calls: What is timed.
        seconds: No further turn begins after them.
    """
    for call in [*calls] * _WARM_UP:
        call()
    taken: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + seconds
    for _ in range(_TURNS):
        for times, call in zip(taken, calls, strict=True):
            start = perf_counter()
            call()
            times.append(1000 * (perf_counter() - start))
        if perf_counter() > end:
            break
    return [median(times) for times in taken]
