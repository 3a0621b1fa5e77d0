"""Tables of models in plain text: what there is, and figures side by side where they may stand so."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.bundle.card import Card, read_card
from fer.bundle.files import CARD
from fer.bundle.registry import Registry
from fer.errors import FerError

_HEAD = ("model", "network", "px", "precision", "MB", "images", "accuracy", "95 %", "macro-F1")
_SHARED = ("pixels_sha256", "files_sha256", "labels_sha256")  # of a manifest: equal ones mean equal images
MARK = "*"

Rows = list[tuple[str, ...]]


def list_rows(registry: Registry) -> tuple[Rows, list[str]]:
    """Return a row a version, newest first within a name, head first; and what could not be read."""
    rows: Rows = [(*_HEAD, "aliases", "made")]
    unreadable = []
    for name in registry.names():
        aliases = registry.aliases(name)
        for version in reversed(registry.versions(name)):
            try:
                card = read_card(registry.folder / name / str(version) / CARD)
            except FerError as error:
                unreadable.append(str(error))
                continue
            called = ", ".join(alias for alias, number in aliases.items() if number == version)
            rows.append((*_row(f"{name}:{version}", card), called, card.created[:10]))
    return rows, unreadable


def compare_rows(cards: Sequence[tuple[str, Card]]) -> tuple[Rows, list[str]]:
    """Return a row a model, and notes; figures on other images than the first model's are marked.

    Args:
        cards: What each model is called, and its card.
    """
    first = cards[0][1]
    rows: Rows = [_HEAD]
    for name, card in cards:
        *start, images, accuracy, interval, f1 = _row(name, card)
        mark = "" if same_images(first, card) else MARK
        rows.append((*start, images + mark, accuracy + mark, interval, f1 + mark))
    return rows, _notes(cards)


def same_images(first: Card, second: Card) -> bool:
    """Whether two models were validated on the same images under the same labels."""
    one, other = (_validation(card).get("manifest", {}) for card in (first, second))
    known = [name for name in _SHARED if name in one]
    return bool(known) and all(one[name] == other.get(name) for name in known)


def _notes(cards: Sequence[tuple[str, Card]]) -> list[str]:
    first_name, first = cards[0]
    notes = []
    if not all(same_images(first, card) for _, card in cards):
        notes.append(
            f"{MARK} of other images or labels than {first_name}'s, or not known: not to be compared "
            "with it. fer-evaluate RUN --data scores a model on another set."
        )
    if any(card.labels.names != first.labels.names for _, card in cards):
        notes.append("The models do not name the same emotions in the same order.")
    if any(_validation(card).get("selection_split") for _, card in cards):
        notes.append("Validation figures: each model was chosen on these images, which flatters it.")
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


def _percent(figure: Mapping[str, Any]) -> str:
    value = figure.get("value")
    return "-" if value is None else f"{100 * value:.1f} %"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns; the first is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
