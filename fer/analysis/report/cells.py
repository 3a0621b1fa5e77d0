"""How the values of a table are written: one way for the page and for the text."""

import math
import re
from dataclasses import dataclass

from fer.analysis.section import Cell, Table

DASH = "–"
_BLANK = {DASH, "-", "", "n/a"}
# 58.9 %   58.9 [57.3, 60.5]   57.3 to 60.5   < 0.001   12 ms
_FIGURE = re.compile(
    r"[<>≤≥≈±+−-]?\s?[\d∞][\d.,\s%±–−+\-\[\]()×/]*(to\s[\d.,\s%]+)?\s?(e−\d+|[A-Za-zµ]{0,3})"
)


@dataclass(frozen=True)
class Column:
    """A column as it is shown; a ``numeric`` one, a few words aside, stands at the right."""

    name: str
    cells: list[str]
    numeric: bool


def columns(table: Table) -> list[Column]:
    """Write every value of a table.

    Integers have their thousands apart, the floats of a column as many decimals as its largest needs for four
    digits (three at most), and nothing at all is a dash.
    """
    found = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [_column(name, list(cells)) for name, cells in zip(table.columns, found, strict=True)]


def _column(name: str, cells: list[Cell]) -> Column:
    decimals = _decimals([cell for cell in cells if isinstance(cell, float)])
    shown = [show(cell, decimals) for cell in cells]
    filled = [words for words in shown if words not in _BLANK]
    numbers = [words for words in filled if _FIGURE.fullmatch(words)]
    return Column(name, shown, 2 * len(numbers) > len(filled))


def _decimals(floats: list[float]) -> int:
    largest = max((abs(value) for value in floats if math.isfinite(value)), default=0)
    return max(0, 3 - int(math.log10(max(largest, 1))))


def show(cell: Cell, decimals: int = 3) -> str:
    """Write one value; a float that rounds to nothing, but is something, keeps two digits."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return DASH
    if isinstance(cell, bool | str):
        return str(cell)
    if isinstance(cell, int):
        return f"{cell:,}".replace("-", "−")
    words = f"{cell:,.{decimals}f}"
    if cell and math.isfinite(cell) and float(words.replace(",", "")) == 0:
        words = f"{cell:.2g}"
    return words.replace("-", "−").replace("inf", "∞")
