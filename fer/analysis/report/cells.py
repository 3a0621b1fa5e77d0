"""Format the values of a table, in the same way for HTML and Markdown."""

import math
import re
from dataclasses import dataclass

from fer.analysis.section import Cell, Table

DASH = "–"
_BLANK = {DASH, "-", "", "n/a"}
# 58.9 %   58.9 [57.3, 60.5]   57.3 to 60.5   < 0.001   12 ms
_NUMBER = re.compile(
    r"[<>≤≥≈±+−-]?\s?[\d∞][\d.,\s%±–−+\-\[\]()×/]*(to\s[\d.,\s%]+)?\s?(e−\d+|[A-Za-zµ]{0,3})"
)


@dataclass(frozen=True)
class Column:
    """A formatted column. It is ``numeric``, and right-aligned, if most of its cells are numbers."""

    name: str
    cells: list[str]
    numeric: bool


def format_columns(table: Table) -> list[Column]:
    """Format every value of a table.

    Integers have thousands separators. All floats of a column have the same number of decimals: as many as
    the largest needs for four significant digits, at most three. Missing values are a dash.
    """
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [_column(name, list(cells)) for name, cells in zip(table.columns, columns, strict=True)]


def _column(name: str, cells: list[Cell]) -> Column:
    decimals = _decimals([cell for cell in cells if isinstance(cell, float)])
    texts = [format_cell(cell, decimals) for cell in cells]
    filled = [text for text in texts if text not in _BLANK]
    numbers = [text for text in filled if _NUMBER.fullmatch(text)]
    return Column(name, texts, 2 * len(numbers) > len(filled))


def _decimals(floats: list[float]) -> int:
    largest = max((abs(value) for value in floats if math.isfinite(value)), default=0)
    return max(0, 3 - int(math.log10(max(largest, 1))))


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
