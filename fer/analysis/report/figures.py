"""Numbered tables and figures as HTML, each in a box that scrolls sideways if it is wider than the page."""

from collections.abc import Sequence

from fer.analysis.report.cells import Column, format_columns
from fer.analysis.report.html import Markup, join, tag
from fer.analysis.section import Table


def table_figure(table: Table, number: str) -> Markup:
    """Return a table with its caption; a wide table scrolls in its box, not with the page."""
    columns = format_columns(table)
    head = tag("tr", *map(_head_cell, columns))
    rows = [_row(columns, index) for index in range(len(table.rows))]
    element = tag("table", tag("thead", head), tag("tbody", join(rows)))
    return tag("figure", scroll_box(element, number), caption(number, table.caption), class_="table")


def scroll_box(content: Markup, name: str) -> Markup:
    """Return a box that scrolls sideways, also by keyboard, if its content is wider than the page."""
    return tag("div", content, class_="scroll", role="region", tabindex=0, aria_label=name)


def caption(number: str, text: str) -> Markup:
    """Return the caption of a table or figure."""
    return tag("figcaption", tag("b", f"{number}."), " " + keep_units_together(text))


def keep_units_together(text: str) -> str:
    """Use non-breaking spaces in ``n = 3,589`` and ``58.9 %``."""
    return text.replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u00a0%")


def _head_cell(column: Column) -> Markup:
    css_class = _css_class(column)
    return (
        tag("th", column.name, scope="col", class_=css_class) if column.name else tag("td", class_=css_class)
    )


def _row(columns: Sequence[Column], index: int) -> Markup:
    first, *rest = columns
    name = tag("th", first.cells[index], scope="row", class_=_css_class(first))
    return tag("tr", name, *(tag("td", column.cells[index], class_=_css_class(column)) for column in rest))


def _css_class(column: Column) -> str | None:
    return "number" if column.numeric else None
