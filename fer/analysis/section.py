"""The parts that a report is put together from: what every analysis hands over, whatever page it ends on."""

from dataclasses import dataclass, field
from typing import Any

Cell = str | float | int | None
"""One value of a table: `None` is shown as a dash, a float with four significant digits."""


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
class Picture:
    """One figure.

    Attributes:
        name: File name without its ending: letters, digits, `-` and `_`; unique in a report.
        png: The whole PNG file.
        alt: What the picture shows, for those who cannot see it.
        caption: A sentence below it, with its n.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One chapter of a report: words first, then tables, then pictures.

    Attributes:
        key: Its name in `metrics.json` and its anchor on the page: letters, digits, `-` and `_`.
        title: Its heading.
        words: Plain sentences, a paragraph each; no HTML.
        tables: Shown in this order.
        pictures: Shown in this order.
        numbers: What was measured, under `key` in `metrics.json`: plain values, numpy, dataclasses.
        warning: Belongs in the box at the top of the report, because it may change how the numbers are read.
    """

    key: str
    title: str
    words: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    warning: bool = False
