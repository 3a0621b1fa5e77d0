"""The content of a report: sections, tables and plots; formatted columns; and the headline metrics."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer.analysis.metrics.estimate import Estimate
from fer.core.text import percent

# One value of a table. `None` is shown as a dash, a float with four significant digits.
Cell = str | float | int | None
DASH = "–"
# Cells that do not decide whether a column is numeric
_BLANK = {DASH, "-", "", "n/a"}
# Matches 58.9 %, 58.9 [57.3, 60.5], 57.3 to 60.5, < 0.001, 12 ms
_NUMBER = re.compile(
    r"[<>≤≥≈±+−-]?\s?[\d∞][\d.,\s%±–−+\-\[\]()×/]*(to\s[\d.,\s%]+)?\s?(e−\d+|[A-Za-zµ]{0,3})"
)
# Headline metric -> display name
HEADLINE_NAMES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1", "uar": "UAR"}


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes:
        columns: Heading of each column. The first column names its row.
        rows: Each as long as `columns`.
        caption: A sentence below the table, with its n.
        name: Name in W&B: letters, digits and `_`; unique in a section.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    caption: str = ""
    name: str = "table"


@dataclass(frozen=True)
class Plot:
    """One figure of a report.

    Attributes:
        name: File name without suffix: letters, digits, `-` and `_`; unique in a report.
        png: Content of the PNG file.
        alt: Alternative text: what the figure shows, for screen readers.
        caption: A sentence below the figure, with its n.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One section of a report: paragraphs first, then tables, then plots.

    Attributes:
        key: Its name in `metrics.json` and its anchor on the page: letters, digits, `-` and `_`.
        title: Its heading.
        paragraphs: Plain text, no HTML.
        tables: Shown in this order.
        plots: Shown in this order.
        numbers: The results, under `key` in `metrics.json`: plain values, numpy arrays, dataclasses.
        warning: Show it in the box at the top of the report, because it affects how to read the numbers.
        summary: Metrics that `fer.evaluate` returns beside the headline metrics, and that go to the summary
            of the W&B run.
    """

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    warning: bool = False
    summary: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A formatted column. It is ``numeric``, and right-aligned, if most of its cells are numbers."""

    name: str
    cells: list[str]
    numeric: bool


@dataclass(frozen=True)
class Headline(Estimate):
    """A headline metric; ``key`` is its name in `HEADLINE_NAMES`."""

    key: str = ""

    @property
    def name(self) -> str:
        """Its display name."""
        return HEADLINE_NAMES[self.key]

    @property
    def formatted_value(self) -> str:
        """The value in percent: ``58.9 %``."""
        return "undefined" if self.value is None else percent(self.value)

    @property
    def formatted_interval(self) -> str:
        """The 95 % interval in percent, followed by the note."""
        if self.low is None or self.high is None:
            return self.note or "no interval"
        text = f"95 % interval {100 * self.low:.1f} to {percent(self.high)}"
        return f"{text}; {self.note}" if self.note else text


def format_columns(table: Table) -> list[Column]:
    """Format every value of a table.

    Integers have thousands separators. All floats of a column have the same number of decimals: as many as
    the largest needs for four significant digits, at most three. Missing values are a dash.
    """
    columns = []
    columns_of_cells = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    for name, cells in zip(table.columns, columns_of_cells, strict=True):
        floats = (abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell))
        decimals = max(0, 3 - int(math.log10(max([1, *floats]))))
        texts = [format_cell(cell, decimals) for cell in cells]
        filled = [text for text in texts if text not in _BLANK]
        numbers = [text for text in filled if _NUMBER.fullmatch(text)]
        columns.append(Column(name, texts, 2 * len(numbers) > len(filled)))
    return columns


def format_cell(cell: Cell, decimals: int = 3) -> str:
    """Format one value. A nonzero float that would round to 0 is shown with two significant digits."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return DASH
    if isinstance(cell, bool | str):
        return str(cell)
    if isinstance(cell, int):
        return f"{cell:,}".replace("-", "−")
    text = f"{cell:,.{decimals}f}"
    if cell and math.isfinite(cell) and float(text.replace(",", "")) == 0:
        text = f"{cell:.2g}"
    return text.replace("-", "−").replace("inf", "∞")


def find_headlines(numbers: Mapping[str, Any]) -> list[Headline]:
    """Return accuracy, macro-F1 and UAR of the first section that has any of them.

    Args:
        numbers: Section key -> its numbers, as JSON values (`fer.analysis.report.write.to_json_values`).
    """
    for content in numbers.values():
        if headlines := [Headline(**content[key], key=key) for key in HEADLINE_NAMES if key in content]:
            return headlines
    return []


def describe_split(numbers: Mapping[str, Any]) -> str:
    """Return what kind of split was scored: ``validation, selection split``, or ``test, scored twice``.

    Args:
        numbers: Section key -> its numbers, as for `find_headlines`. The section ``protocol`` holds the label
            and, for a test split, the number of earlier scores. Without that section the result is "".
    """
    protocol = numbers.get("protocol", {})
    label = str(protocol.get("standing", ""))
    earlier = protocol.get("earlier_scores", {}).get("same_recipe")
    if label != "test" or earlier is None:
        return label
    num_seeds = max(1, len(numbers.get("seeds", {}).get("runs", ())))
    if num_seeds > 1 and not earlier:
        return f"{label}, each seed scored once"
    count = earlier + num_seeds
    return f"{label}, scored {({1: 'once', 2: 'twice'}).get(count, f'{count} times')}"
