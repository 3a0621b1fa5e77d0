"""Tables, term lists and score bars as HTML, accessible by keyboard and screen reader.

Colours derive from the text colour, so they follow the light or dark theme. Text from cards is escaped.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from fer.app.card_text import EmotionScores, format_estimate

STYLE = f"<style>{Path(__file__).with_name('tables.css').read_text(encoding='utf-8')}</style>"
# Percentage of the text colour behind a cell with a fraction of 1: the contrast of its text stays above 4.5.
_MAX_SHADE = 45


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table that scrolls horizontally if it is too wide; the first cell of a row is its header."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in columns)
    body = "".join(_row(cells) for cells in rows)
    return _scrollable(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", caption)


def _row(cells: Sequence[str]) -> str:
    first, *others = map(escape, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _scrollable(content: str, caption: str, css_class: str = "") -> str:
    """Return a table in a box that can be scrolled by keyboard, with its caption below."""
    text = escape(caption)
    return (
        f'<figure class="fer-figure"><div class="fer-scroll" role="region" tabindex="0" aria-label="{text}">'
        f'<table class="fer-table {css_class}">{content}</table></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names and values as a description list."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="fer-facts">{items}</dl>'


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> str:
    """Return a confusion matrix with the percentage of the row and the count in each cell.

    Args:
        names: The K emotions, in the order of rows and columns.
        counts: K rows (true emotions) of K counts (predicted emotions).
        caption: Caption of the table.
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    corner = '<th scope="col">true ↓ predicted →</th>'
    head = f'<thead><tr>{corner}{columns}<th scope="col">images</th></tr></thead>'
    body = "".join(_confusion_row(row, names[row], counts[row]) for row in range(len(names)))
    return _scrollable(f"{head}<tbody>{body}</tbody>", caption, "fer-confusion")


def _confusion_row(row: int, name: str, counts: Sequence[int]) -> str:
    total = sum(counts)
    cells = "".join(_confusion_cell(count, total, column == row) for column, count in enumerate(counts))
    return f'<tr><th scope="row">{escape(name)}</th>{cells}<td>{total:,}</td></tr>'


def _confusion_cell(count: int, total: int, correct: bool) -> str:
    fraction = count / total if total else 0.0
    shade = f"background:color-mix(in srgb, currentColor {_MAX_SHADE * fraction:.0f}%, transparent)"
    css_class = ' class="fer-correct"' if correct else ""
    return f'<td{css_class} style="{shade}">{100 * fraction:.0f} %<small>{count:,}</small></td>'


def emotion_bars(emotions: Sequence[EmotionScores]) -> str:
    """Return a bar of the F1 of each emotion, highest first, with its interval, precision and recall."""
    ranked = sorted(emotions, key=lambda emotion: -emotion.f1.get("value", -1.0))
    return f'<ul class="fer-scores">{"".join(map(_emotion_bar, ranked))}</ul>'


def _emotion_bar(emotion: EmotionScores) -> str:
    f1 = emotion.f1
    low, high = f1.get("low"), f1.get("high")
    interval = ""
    if low is not None and high is not None:
        interval = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    estimates = {"precision": emotion.precision, "recall": emotion.recall}
    details = [f"{name} {format_estimate(value)}" for name, value in estimates.items() if value]
    details += [] if emotion.n is None else [f"{emotion.n:,} images"]
    return (
        f"<li><b>{escape(emotion.name)}</b><span>F1 {format_estimate(f1)}</span>"
        f'<div class="fer-line" aria-hidden="true"><div style="width:{100 * f1.get("value", 0):.1f}%"></div>'
        f"{interval}</div><small>{' · '.join(details)}</small></li>"
    )
