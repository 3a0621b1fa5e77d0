"""What a reader sees first: the main figures, and on what they were measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1", "uar": "UAR"}


@dataclass(frozen=True)
class Headline:
    """A main figure; fractions in [0, 1]. ``value`` is ``None`` where the note says why."""

    key: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return NAMES[self.key]

    @property
    def shown(self) -> str:
        """The value as people read it: ``58.9 %``."""
        return "undefined" if self.value is None else f"{self.value:.1%}".replace("%", " %")

    @property
    def interval(self) -> str:
        """The interval as people read it, and what else must be said of the figure."""
        if self.low is None or self.high is None:
            return self.note or "no interval"
        words = f"95 % interval {100 * self.low:.1f} to {100 * self.high:.1f} %"
        return f"{words}; {self.note}" if self.note else words


def headlines(numbers: Mapping[str, Any]) -> list[Headline]:
    """Find accuracy, macro-F1 and UAR in the first section that has any of them.

    Args:
        numbers: Section key -> its numbers, as `plain` returns them.
    """
    for content in numbers.values():
        if found := list(_figures(content)):
            return found
    return []


def _figures(content: Any) -> Iterator[Headline]:
    for key in NAMES:
        figure = content.get(key) if isinstance(content, dict) else None
        if isinstance(figure, dict) and {"value", "low", "high", "n"} <= figure.keys():
            parts = {part: figure[part] for part in ("value", "low", "high", "n")}
            yield Headline(key, **parts, note=figure.get("note", ""))


def standing(numbers: Mapping[str, Any]) -> str:
    """Say what the figures are worth: ``validation, selection split``, or ``test, scored twice``.

    Args:
        numbers: Of the sections, as for `headlines`. That of `fer.analysis.protocol` has the answer, and of
            the test split the scores before this one; without it nothing is said.
    """
    protocol = numbers.get("protocol", {})
    words = str(protocol.get("standing", ""))
    earlier = protocol.get("earlier_scores", {}).get("same_recipe")
    if words != "test" or earlier is None:
        return words
    seeds = max(1, len(numbers.get("seeds", {}).get("runs", ())))
    if seeds > 1 and not earlier:
        return f"{words}, each seed scored once"
    return f"{words}, scored {_times(earlier + seeds)}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
