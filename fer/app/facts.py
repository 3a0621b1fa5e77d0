"""Values of a model card, formatted for display."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer.bundle.card import Card

# Shown in place of a value that the card does not have.
MISSING = "–"
# The test split comes first: no model was selected on it.
_SPLITS = ("test", "val")
_PER_EMOTION = ("precision", "recall", "f1")


@dataclass(frozen=True)
class EmotionScores:
    """Precision, recall and F1 of one emotion, each an estimate of the card, or empty if not measured.

    Attributes:
        name: The emotion.
        n: Images with this label; None if the card has no confusion matrix.
        precision: Fraction of the predictions of this emotion that are correct.
        recall: Fraction of the images of this emotion that are predicted as such.
        f1: Harmonic mean of precision and recall.
    """

    name: str
    n: int | None
    precision: Mapping[str, Any]
    recall: Mapping[str, Any]
    f1: Mapping[str, Any]


def primary_metrics(card: Card) -> Mapping[str, Any]:
    """Return the metrics of the test split, else of the validation split, else an empty mapping."""
    return next((card.metrics[split] for split in _SPLITS if split in card.metrics), {})


def estimate(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return one metric of a split with keys ``value``, ``low`` and ``high``; empty if not measured."""
    result = metrics.get("figures", {}).get(name, {})
    return result if result.get("value") is not None else {}


def format_estimate(value: Mapping[str, Any]) -> str:
    """Return an estimate as ``63.6 % [62.2, 65.0]``, without brackets if it has no interval."""
    if not value:
        return MISSING
    low, high = value.get("low"), value.get("high")
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value['value']:.1f} %{interval}"


def format_size(card: Card) -> str:
    """Return the size of the model file, e.g. ``0.41 MB``."""
    return f"{card.model['bytes'] / 1e6:.2f} MB"


def export_latency_ms(card: Card) -> float | None:
    """Return the milliseconds per face measured at export; None for most cards."""
    latencies = (card.export.get("quantisation") or {}).get("speed", {}).get("batch_1", {})
    latency = latencies.get(f"{card.precision}_ms")
    return None if latency is None else float(latency)


def training_data(card: Card) -> str:
    """Return the names of the data sets that the model, or each member of an ensemble, was trained on."""
    members = [card.training, *card.training.get("members", [])]
    names = dict.fromkeys(str(member["data"]) for member in members if member.get("data"))
    return ", ".join(names) or MISSING


def export_date(card: Card) -> str:
    """Return the day of the export, e.g. ``2026-11-23``."""
    return card.created[:10] or MISSING


def describe_split(metrics: Mapping[str, Any]) -> str:
    """Return the split and number of images of the metrics, and whether the model was selected on them."""
    if not metrics:
        return MISSING
    selection = ", selection split" if metrics.get("selection_split") else ""
    subset = f", {metrics['of']}" if metrics.get("of") else ""
    return f"{metrics['split']}, {metrics['n']:,} images{selection}{subset}"


def scores_by_emotion(card: Card, metrics: Mapping[str, Any]) -> list[EmotionScores]:
    """Return the scores of each emotion in the card's order; empty if the split has none."""
    counts = metrics.get("confusion")
    scores = [
        EmotionScores(
            name,
            sum(counts[row]) if counts else None,
            *(estimate(metrics, f"{key}/{name}") for key in _PER_EMOTION),
        )
        for row, name in enumerate(card.labels.names)
    ]
    return scores if any(emotion.f1 or emotion.recall for emotion in scores) else []
