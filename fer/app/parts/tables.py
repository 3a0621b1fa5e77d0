"""Tables and bars in plain HTML: read well by people, keyboards and screen readers, in light and dark.

All colours are shares of the text's own, so they follow the theme. Words from cards are escaped.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from fer.app.facts import EmotionFacts, percent

STYLE = f"<style>{Path(__file__).with_name('tables.css').read_text(encoding='utf-8')}</style>"
_DEEPEST = 45  # percent of the text's colour behind a cell that holds all: text on it keeps a contrast of 4.5


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table; the first cell of each row names it. It scrolls within itself where it is too wide."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(_row(cells) for cells in rows)
    return _boxed(f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>", caption)


def _row(cells: Sequence[str]) -> str:
    first, *others = map(escape, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _boxed(content: str, caption: str, kind: str = "") -> str:
    """Return a table in a box of its own that keys can scroll; below it what it is of."""
    said = escape(caption)
    return (
        f'<figure class="fer-figure"><div class="fer-scroll" role="region" tabindex="0" aria-label="{said}">'
        f'<table class="fer-table {kind}">{content}</table></div><figcaption>{said}</figcaption></figure>'
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names with their values, as a list of terms."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="fer-facts">{items}</dl>'


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> str:
    """Return a confusion matrix: in each cell the share of its row and the count.

    Args:
        names: Emotions in the order of rows and columns.
        counts: K rows of K counts, a row a true emotion.
        caption: What it is of.
    """
    said = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    head = f'<thead><tr><th scope="col">shown ↓ said →</th>{said}<th scope="col">images</th></tr></thead>'
    body = "".join(_confusion_row(row, names[row], counts[row]) for row in range(len(names)))
    return _boxed(f"{head}<tbody>{body}</tbody>", caption, "fer-confusion")


def _confusion_row(place: int, name: str, counts: Sequence[int]) -> str:
    total = sum(counts)
    cells = "".join(_cell(count, total, column == place) for column, count in enumerate(counts))
    return f'<tr><th scope="row">{escape(name)}</th>{cells}<td>{total:,}</td></tr>'


def _cell(count: int, total: int, right: bool) -> str:
    share = count / total if total else 0.0
    shade = f"background:color-mix(in srgb, currentColor {_DEEPEST * share:.0f}%, transparent)"
    kind = ' class="fer-right"' if right else ""
    return f'<td{kind} style="{shade}">{100 * share:.0f} %<small>{count:,}</small></td>'


def emotion_bars(emotions: Sequence[EmotionFacts]) -> str:
    """Return a bar of F1 for each emotion, best first, with its interval as a thin line and all figures."""
    ranked = sorted(emotions, key=lambda emotion: -emotion.f1.get("value", -1.0))
    return f'<ul class="fer-scores">{"".join(map(_emotion_bar, ranked))}</ul>'


def _emotion_bar(emotion: EmotionFacts) -> str:
    f1 = emotion.f1
    low, high = f1.get("low"), f1.get("high")
    line = ""
    if low is not None and high is not None:
        line = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    known = {"precision": emotion.precision, "recall": emotion.recall}
    more = [f"{name} {percent(found)}" for name, found in known.items() if found]
    more += [] if emotion.n is None else [f"{emotion.n:,} images"]
    return (
        f"<li><b>{escape(emotion.name)}</b><span>F1 {percent(f1)}</span>"
        f'<div class="fer-line" aria-hidden="true"><div style="width:{100 * f1.get("value", 0):.1f}%"></div>'
        f"{line}</div><small>{' · '.join(more)}</small></li>"
    )
