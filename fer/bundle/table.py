"""Plain-text tables of registered models: a list, and a comparison that marks metrics on different images."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.bundle.card import Card, read_card
from fer.bundle.files import CARD
from fer.bundle.registry import Registry
from fer.errors import FerError

_HEADER = ("model", "network", "px", "precision", "MB", "images", "accuracy", "95 %", "macro-F1")
# Manifest keys; two splits with equal hashes have the same images and labels.
_MANIFEST_HASHES = ("pixels_sha256", "files_sha256", "labels_sha256")
MARK = "*"

Rows = list[tuple[str, ...]]


def list_rows(registry: Registry) -> tuple[Rows, list[str]]:
    """Return a header and a row per version, newest first within a name, and errors of unreadable cards."""
    rows: Rows = [(*_HEADER, "aliases", "made")]
    errors = []
    for name in registry.names():
        aliases = registry.aliases(name)
        for version in reversed(registry.versions(name)):
            try:
                card = read_card(registry.folder / name / str(version) / CARD)
            except FerError as error:
                errors.append(str(error))
                continue
            names = ", ".join(alias for alias, number in aliases.items() if number == version)
            rows.append((*_row(f"{name}:{version}", card), names, card.created[:10]))
    return rows, errors


def compare_rows(cards: Sequence[tuple[str, Card]]) -> tuple[Rows, list[str]]:
    """Return a header and one row per model, and notes.

    Metrics on other images than those of the first model are marked.

    Args:
        cards: Display name and card of each model.
    """
    first = cards[0][1]
    rows: Rows = [_HEADER]
    for name, card in cards:
        *start, images, accuracy, interval, f1 = _row(name, card)
        mark = "" if same_images(first, card) else MARK
        rows.append((*start, images + mark, accuracy + mark, interval, f1 + mark))
    return rows, _notes(cards)


def same_images(first: Card, second: Card) -> bool:
    """Return whether two models were validated on the same images with the same labels."""
    manifests = [_validation(card).get("manifest", {}) for card in (first, second)]
    known = [key for key in _MANIFEST_HASHES if key in manifests[0]]
    return bool(known) and all(manifests[0][key] == manifests[1].get(key) for key in known)


def _notes(cards: Sequence[tuple[str, Card]]) -> list[str]:
    first_name, first = cards[0]
    notes = []
    if not all(same_images(first, card) for _, card in cards):
        notes.append(
            f"{MARK} Not comparable with {first_name}: measured on other images or labels, or not known on "
            "which. fer-evaluate RUN --data scores a model on another data set."
        )
    if any(card.labels.names != first.labels.names for _, card in cards):
        notes.append("The models do not have the same emotions in the same order.")
    if any(_validation(card).get("selection_split") for _, card in cards):
        notes.append(
            "Validation, selection split: each model was selected on these images (optimistic bias)."
        )
    return notes


def _validation(card: Card) -> Mapping[str, Any]:
    return card.metrics.get("val", {})


def _row(name: str, card: Card) -> tuple[str, ...]:
    part = _validation(card)
    images = f"{part['split']} {part['n']:,}" if part else "-"
    accuracy = part.get("figures", {}).get("accuracy", {})
    low, high = accuracy.get("low"), accuracy.get("high")
    interval = "-" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    size = f"{card.model['bytes'] / 1e6:.2f}"
    architecture = str(card.model["architecture"])
    return (
        name, architecture, str(card.image_size), card.precision, size, images, _percent(accuracy), interval,
        _percent(part.get("figures", {}).get("macro_f1", {})),
    )  # fmt: skip


def _percent(estimate: Mapping[str, Any]) -> str:
    value = estimate.get("value")
    return "-" if value is None else f"{100 * value:.1f} %"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns; the first row is the header."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
