"""The parts of a report that every analysis returns: sections, tables and plots."""

from dataclasses import dataclass, field
from typing import Any

Cell = str | float | int | None
"""One value of a table. `None` is shown as a dash, a float with four significant digits."""


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes:
        columns: Heading of each column. The first column names its row.
        rows: Each as long as `columns`.
        caption: A sentence below the table, with its n.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    caption: str = ""


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
    """

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    warning: bool = False
