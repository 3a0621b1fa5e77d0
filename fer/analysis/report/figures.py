"""Numbered tables and figures of a page, each in a box of its own that scrolls where it is wider."""

from collections.abc import Sequence

from fer.analysis.report.cells import Column, columns
from fer.analysis.report.html import Markup, join, tag
from fer.analysis.section import Table


def table_figure(table: Table, number: str) -> Markup:
    """Return a table in a box of its own, so that a wide one scrolls there and not with the page."""
    shown = columns(table)
    head = tag("tr", *map(_head_cell, shown))
    rows = [_row(shown, position) for position in range(len(table.rows))]
    whole = tag("table", tag("thead", head), tag("tbody", join(rows)))
    return tag("figure", box(whole, number), caption(number, table.caption), class_="table")


def box(content: Markup, name: str) -> Markup:
    """Return a box that scrolls sideways, by keyboard as well, where its content is wider than the page."""
    return tag("div", content, class_="scroll", role="region", tabindex=0, aria_label=name)


def caption(number: str, words: str) -> Markup:
    """Return what stands below a table or figure."""
    return tag("figcaption", tag("b", f"{number}."), " " + typeset(words))


def typeset(words: str) -> str:
    """Keep ``n = 3,589`` and ``58.9 %`` in one line."""
    return words.replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u00a0%")


def _head_cell(column: Column) -> Markup:
    side = _side(column)
    return tag("th", column.name, scope="col", class_=side) if column.name else tag("td", class_=side)


def _row(shown: Sequence[Column], position: int) -> Markup:
    first, *rest = shown
    name = tag("th", first.cells[position], scope="row", class_=_side(first))
    return tag("tr", name, *(tag("td", column.cells[position], class_=_side(column)) for column in rest))


def _side(column: Column) -> str | None:
    return "number" if column.numeric else None
