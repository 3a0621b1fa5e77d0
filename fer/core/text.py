"""Numbers as text."""

from collections.abc import Callable, Collection, Sequence


def percent(fraction: float, decimals: int = 1) -> str:
    """Return a fraction as a percentage, ``58.9 %``."""
    return f"{100 * fraction:.{decimals}f} %"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, ``1 face`` or ``1,200 faces``; the plural is formed with s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def agree(number: int, one: str, several: str) -> str:
    """Return the words that agree with a number: ``one`` for 1, else ``several``."""
    return one if number == 1 else several


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return the lines of a table with aligned columns; those in ``right``, by number, end at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def with_interval(
    value: float, low: float | None, high: float | None, show: Callable[[float], str], unit: str = ""
) -> str:
    """Return a value with its unit and interval, ``58.9 % [57.3, 60.5]``; without limits, ``58.9 %``."""
    text = f"{show(value)}{unit}"
    return text if low is None or high is None else f"{text} [{show(low)}, {show(high)}]"


def duration(seconds: float) -> str:
    """Return a duration, ``4.2 s``, ``12 min 5 s`` or ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
