"""A chapter of a sweep's page."""

from dataclasses import dataclass, field

from fer.analysis.section import Cell, Table
from fer.sweep_reporting.figures import Chart


@dataclass(frozen=True)
class Chapter:
    """A chapter: words first, then a command to copy, tables, and plots.

    Attributes:
        key: Its anchor: letters, digits, ``-`` and ``_``.
        title: Its heading.
        words: Sentences, a paragraph each.
        commands: Command lines to copy.
        tables: In this order.
        charts: In this order.
        note: Below the plots.
        tiled: The plots stand side by side where there is room.
    """

    key: str
    title: str
    words: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    note: str = ""
    tiled: bool = False


def without_blanks(table: Table) -> Table:
    """Return a table without the columns in which there is nothing."""
    rows: list[tuple[Cell, ...]] = table.rows
    kept = [place for place in range(len(table.columns)) if any(row[place] is not None for row in rows)]
    columns = tuple(table.columns[place] for place in kept)
    return Table(columns, [tuple(row[place] for place in kept) for row in rows], table.caption)
