"""A section of a sweep's page."""

from dataclasses import dataclass, field

from fer.analysis.section import Cell, Table
from fer.sweep_reporting.figures import Chart


@dataclass(frozen=True)
class PageSection:
    """A section of a sweep's page: text, then commands to copy, tables and plots.

    Attributes:
        key: Its anchor: letters, digits, ``-`` and ``_``.
        title: Its heading.
        paragraphs: The text.
        commands: Command lines to copy.
        tables: In this order.
        charts: In this order.
        note: Caption below the plots.
        tiled: Whether the plots are side by side if there is room.
    """

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    note: str = ""
    tiled: bool = False


def without_empty_columns(table: Table) -> Table:
    """Return a table without the columns that have no value in any row."""
    rows: list[tuple[Cell, ...]] = table.rows
    used = [index for index in range(len(table.columns)) if any(row[index] is not None for row in rows)]
    columns = tuple(table.columns[index] for index in used)
    return Table(columns, [tuple(row[index] for index in used) for row in rows], table.caption)
