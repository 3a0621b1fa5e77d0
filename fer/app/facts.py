"""What a card says, as pages show it: figures with intervals, sizes, speeds. A dash where it is silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer.bundle.card import Card

DASH = "–"
_ROLES = ("test", "val")  # in this order: nothing was chosen on the first
_BY_EMOTION = ("precision", "recall", "f1")


@dataclass(frozen=True)
class EmotionFacts:
    """How well one emotion is told from the others.

    Attributes:
        name: Of the emotion.
        n: Images with this label; None where the card has no confusion matrix.
        precision: Of the images said to show it, the share that does; a figure of the card, or empty.
        recall: Of the images that show it, the share that is found.
        f1: Harmonic mean of both.
    """

    name: str
    n: int | None
    precision: Mapping[str, Any]
    recall: Mapping[str, Any]
    f1: Mapping[str, Any]


def main_part(card: Card) -> Mapping[str, Any]:
    """Return the figures of the test split, else of the validation split, else nothing."""
    return next((card.metrics[role] for role in _ROLES if role in card.metrics), {})


def figure(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a figure of a split with ``value``, ``low`` and ``high``; empty where it was not measured."""
    found = part.get("figures", {}).get(name, {})
    return found if found.get("value") is not None else {}


def percent(found: Mapping[str, Any]) -> str:
    """Return a figure as ``63.6 % [62.2, 65.0]``, without brackets where it has no interval."""
    if not found:
        return DASH
    low, high = found.get("low"), found.get("high")
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * found['value']:.1f} %{interval}"


def megabytes(card: Card) -> str:
    """Return the size of the model file."""
    return f"{card.model['bytes'] / 1e6:.2f} MB"


def exported_ms(card: Card) -> float | None:
    """Return the milliseconds for one face that were measured at the export; most cards have none."""
    speed = (card.export.get("quantisation") or {}).get("speed", {}).get("batch_1", {})
    found = speed.get(f"{card.precision}_ms")
    return None if found is None else float(found)


def trained_on(card: Card) -> str:
    """Return the names of the data that the model, or each of several in one, was trained on."""
    members = [card.training, *card.training.get("members", [])]
    return ", ".join(dict.fromkeys(str(one["data"]) for one in members if one.get("data"))) or DASH


def made(card: Card) -> str:
    """Return the day of the export, as ``2026-11-23``."""
    return card.created[:10] or DASH


def scored_on(part: Mapping[str, Any]) -> str:
    """Return which images were scored, and whether the model was chosen on them."""
    if not part:
        return DASH
    chosen = ", selection split" if part.get("selection_split") else ""
    of = f", {part['of']}" if part.get("of") else ""
    return f"{part['split']}, {part['n']:,} images{chosen}{of}"


def by_emotion(card: Card, part: Mapping[str, Any]) -> list[EmotionFacts]:
    """Return a split's figures by emotion, in the card's order; none where the card has none."""
    counts = part.get("confusion")
    found = [
        EmotionFacts(
            name,
            sum(counts[row]) if counts else None,
            *(figure(part, f"{key}/{name}") for key in _BY_EMOTION),
        )
        for row, name in enumerate(card.labels.names)
    ]
    return found if any(emotion.f1 or emotion.recall for emotion in found) else []
