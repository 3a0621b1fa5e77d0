"""The headline of a report: accuracy, macro-F1 and UAR, and the split that they were measured on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1", "uar": "UAR"}


@dataclass(frozen=True)
class Headline:
    """A headline metric; fractions in [0, 1]. ``value`` is ``None`` if it is undefined; ``note`` says why."""

    key: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""

    @property
    def name(self) -> str:
        """Its display name."""
        return NAMES[self.key]

    @property
    def formatted_value(self) -> str:
        """The value in percent: ``58.9 %``."""
        return "undefined" if self.value is None else f"{self.value:.1%}".replace("%", " %")

    @property
    def formatted_interval(self) -> str:
        """The 95 % interval in percent, followed by the note."""
        if self.low is None or self.high is None:
            return self.note or "no interval"
        text = f"95 % interval {100 * self.low:.1f} to {100 * self.high:.1f} %"
        return f"{text}; {self.note}" if self.note else text


def find_headlines(numbers: Mapping[str, Any]) -> list[Headline]:
    """Return accuracy, macro-F1 and UAR of the first section that has any of them.

    Args:
        numbers: Section key -> its numbers, as `to_json_values` returns them.
    """
    for content in numbers.values():
        if headlines := list(_section_headlines(content)):
            return headlines
    return []


def _section_headlines(content: Any) -> Iterator[Headline]:
    for key in NAMES:
        estimate = content.get(key) if isinstance(content, dict) else None
        if isinstance(estimate, dict) and {"value", "low", "high", "n"} <= estimate.keys():
            parts = {part: estimate[part] for part in ("value", "low", "high", "n")}
            yield Headline(key, **parts, note=estimate.get("note", ""))


def describe_split(numbers: Mapping[str, Any]) -> str:
    """Return what kind of split was scored: ``validation, selection split``, or ``test, scored twice``.

    Args:
        numbers: Of the sections, as for `find_headlines`. The section of `fer.analysis.protocol` holds the
            label and, for a test split, the number of earlier scores. Without that section the result is "".
    """
    protocol = numbers.get("protocol", {})
    label = str(protocol.get("standing", ""))
    earlier = protocol.get("earlier_scores", {}).get("same_recipe")
    if label != "test" or earlier is None:
        return label
    num_seeds = max(1, len(numbers.get("seeds", {}).get("runs", ())))
    if num_seeds > 1 and not earlier:
        return f"{label}, each seed scored once"
    return f"{label}, scored {_times(earlier + num_seeds)}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
