"""The page of a sweep: one HTML file with its plots, which asks nothing of a network."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import plotly.offline

from fer.analysis.report.figures import box, table_figure, typeset
from fer.analysis.report.html import Markup, join, tag
from fer.analysis.report.page import head
from fer.sweep_reporting.chapter import Chapter
from fer.sweep_reporting.figures import Chart

# Nothing is loaded from anywhere; plotly makes functions out of text and pictures out of data.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'"
)
_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_HERE = Path(__file__).parent


def page(
    title: str,
    facts: str,
    figures: Mapping[str, tuple[str, str]],
    warnings: Sequence[str],
    chapters: Sequence[Chapter],
    about: Mapping[str, Any],
) -> str:
    """Return the page as HTML.

    Args:
        title: Its heading.
        facts: Below it.
        figures: What a reader sees first: name -> value and a remark.
        warnings: In a box on top.
        chapters: In this order.
        about: Term -> value, at the end.
    """
    drawn = _Drawn()
    body = [
        tag("header", tag("h1", title), tag("p", facts, class_="facts")),
        _warnings(warnings),
        _headline(figures),
        tag(
            "div", _contents(chapters), tag("main", *map(drawn.chapter, chapters), _about(about)),
            class_="columns",
        ),
        tag("script", Markup((_HERE / "copy.js").read_text(encoding="utf-8"))),
    ]  # fmt: skip
    top = head(title, POLICY, [_HERE / "style.css"], plotly.offline.get_plotlyjs())
    return f"<!doctype html>\n{tag('html', top, tag('body', join(body)), lang='en')}\n"


def _warnings(warnings: Sequence[str]) -> Markup:
    if not warnings:
        return Markup("")
    words = [tag("div", tag("p", typeset(word))) for word in warnings]
    heading = tag("h2", "⚠ Read first", id="read-first")
    return tag("aside", heading, *words, class_="warnings", aria_labelledby="read-first")


def _headline(figures: Mapping[str, tuple[str, str]]) -> Markup:
    cards = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", remark), class_="card")
        for name, (value, remark) in figures.items()
    ]
    heading = tag("h2", "Main figures", class_="aside")
    return tag("section", heading, tag("dl", *cards), class_="headline", aria_label="Main figures")


def _contents(chapters: Sequence[Chapter]) -> Markup:
    places = [(one.key, one.title) for one in chapters] + [("about", "What was searched")]
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title in places]
    return tag("nav", tag("h2", "Contents"), tag("ol", *links), aria_label="Contents")


def _about(about: Mapping[str, Any]) -> Markup:
    pairs = [tag("div", tag("dt", name), tag("dd", str(value))) for name, value in about.items()]
    return tag("section", tag("h2", "What was searched"), tag("dl", *pairs, class_="about"), id="about")


class _Drawn:
    """Chapters as HTML; tables and plots are numbered as they come."""

    def __init__(self) -> None:
        self._tables, self._charts = count(1), count(1)

    def chapter(self, chapter: Chapter) -> Markup:
        """Return one chapter."""
        return tag("section", tag("h2", chapter.title), *self._content(chapter), id=chapter.key)

    def _content(self, chapter: Chapter) -> Iterator[Markup]:
        yield from (tag("p", typeset(words)) for words in chapter.words)
        yield from map(_command, chapter.commands)
        yield from (table_figure(table, f"Table {next(self._tables)}") for table in chapter.tables)
        if chapter.charts:
            plots = [self._chart(chart) for chart in chapter.charts]
            caption = tag("figcaption", typeset(chapter.note))
            yield tag("figure", tag("div", *plots, class_="tiles" if chapter.tiled else None), caption)

    def _chart(self, chart: Chart) -> Markup:
        drawn = chart.figure.to_html(
            config=_CONFIG, full_html=False, include_plotlyjs=False, div_id=f"chart-{next(self._charts)}",
            default_width="100%",
        )  # fmt: skip
        style = f"min-width: {chart.width}px" if chart.width else None
        return box(tag("div", Markup(drawn), class_="chart", style=style), chart.alt)


def _command(words: str) -> Markup:
    button = tag("button", "Copy", type="button", class_="copy")
    return tag("div", tag("pre", tag("code", words), tabindex=0), button, class_="command")
