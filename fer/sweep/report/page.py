"""The page of a sweep: one HTML file with interactive plots, which loads nothing from the network."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import plotly.offline

from fer.analysis.report.html import (
    Markup,
    html_head,
    join,
    keep_units_together,
    scroll_box,
    table_figure,
    tag,
)
from fer.analysis.report.write import write_atomically
from fer.core.errors import FerError
from fer.sweep.report import sections as report_sections
from fer.sweep.report.confirm import confirmation_section, load_confirmations, paired_comparison
from fer.sweep.report.plots import Chart
from fer.sweep.report.results import (
    SweepResults,
    format_percent,
    format_value,
    search_settings,
    sweep_costs,
)
from fer.sweep.report.sections import PageSection

# Nothing is loaded from elsewhere. plotly needs eval, and images from data and blob URLs.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'"
)
_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_HERE = Path(__file__).parent


def report(sweep: SweepResults) -> Path:
    """Write ``report.html`` into the sweep's folder atomically, and print the summary.

    Returns:
        The path of the page.

    Raises:
        FerError: The page cannot be written.
    """
    confirmation = _confirmation(sweep)
    cost = report_sections.cost(sweep)
    sections = [
        report_sections.best(sweep), *confirmation, report_sections.history(sweep),
        report_sections.importance(sweep),
        report_sections.parallel(sweep), report_sections.slices(sweep), report_sections.curves(sweep), cost,
        report_sections.trials(sweep),
    ]  # fmt: skip
    warnings = list(report_sections.warnings(sweep))
    subtitle = f"{sweep.objective} · {_counts(sweep)}"
    path = sweep.folder / "report.html"
    settings = search_settings(sweep)
    html = page(f"Sweep {sweep.name}", subtitle, _main_results(sweep), warnings, sections, settings)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html)
    confirmed = [text for section in confirmation for text in section.paragraphs]
    _print_summary(sweep, [*warnings, *cost.paragraphs, *confirmed], path)
    return path


def _confirmation(sweep: SweepResults) -> list[PageSection]:
    """Return the section on confirmed recipes; an empty list if there are none."""
    if not (confirmations := load_confirmations(sweep)):
        return []
    try:
        comparison = paired_comparison(confirmations, sweep.objective)
    # E.g. a run folder was moved; the rest of the page is still useful.
    except FerError as error:
        return [confirmation_section(sweep, confirmations, None, str(error))]
    return [confirmation_section(sweep, confirmations, comparison)]


def _print_summary(sweep: SweepResults, paragraphs: list[str], path: Path) -> None:
    print(f"sweep    {sweep.name}: {_counts(sweep)}")
    if sweep.ranking:
        best = sweep.ranking[0]
        value = format_value(sweep.objective, best.value)
        print(f"best     trial {best.number}, {sweep.objective} {value} (validation, selection split)")
        print(f"retrain  {sweep.command(best)}")
        if sweep.is_proxy:
            print(f"full     {sweep.full_command(best)}")
    for text in paragraphs:
        print(text)
    print(f"report   {path}", flush=True)


def _counts(sweep: SweepResults) -> str:
    return ", ".join(f"{number} {state}" for state, number in sweep.count().items())


def _main_results(sweep: SweepResults) -> dict[str, tuple[str, str]]:
    cards = {}
    if sweep.ranking:
        best = sweep.ranking[0]
        remark = f"trial {best.number}; validation, selection split"
        cards[f"Best {sweep.objective}"] = (format_value(sweep.objective, best.value), remark)
    cards["Trials"] = (str(len(sweep.trials)), _counts(sweep))
    actual, unpruned = sweep_costs(sweep)
    if actual.images is not None and unpruned.images:
        percent = format_percent(actual.images / unpruned.images)
        cards["Image passes"] = (percent, "of those of the same trials without pruning")
    return cards


def page(
    title: str,
    subtitle: str,
    headline: Mapping[str, tuple[str, str]],
    warnings: Sequence[str],
    sections: Sequence[PageSection],
    settings: Mapping[str, Any],
) -> str:
    """Return the page as HTML.

    Args:
        title: Its heading.
        subtitle: Text below the heading.
        headline: Main results at the top: name -> value and remark.
        warnings: In a box above the sections.
        sections: In this order.
        settings: Settings of the search, at the end: name -> value.
    """
    renderer = _SectionRenderer()
    body = [
        tag("header", tag("h1", title), tag("p", subtitle, class_="facts")),
        _warnings(warnings),
        _headline(headline),
        tag(
            "div", _contents(sections), tag("main", *map(renderer.section, sections), _settings(settings)),
            class_="columns",
        ),
        tag("script", Markup((_HERE / "copy.js").read_text(encoding="utf-8"))),
    ]  # fmt: skip
    top = html_head(title, POLICY, [_HERE / "style.css"], plotly.offline.get_plotlyjs())
    return f"<!doctype html>\n{tag('html', top, tag('body', join(body)), lang='en')}\n"


def _warnings(warnings: Sequence[str]) -> Markup:
    if not warnings:
        return Markup("")
    paragraphs = [tag("div", tag("p", keep_units_together(text))) for text in warnings]
    heading = tag("h2", "⚠ Read first", id="read-first")
    return tag("aside", heading, *paragraphs, class_="warnings", aria_labelledby="read-first")


def _headline(headline: Mapping[str, tuple[str, str]]) -> Markup:
    cards = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", remark), class_="card")
        for name, (value, remark) in headline.items()
    ]
    heading = tag("h2", "Main results", class_="aside")
    return tag("section", heading, tag("dl", *cards), class_="headline", aria_label="Main results")


def _contents(sections: Sequence[PageSection]) -> Markup:
    entries = [(section.key, section.title) for section in sections] + [("about", "Search settings")]
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title in entries]
    return tag("nav", tag("h2", "Contents"), tag("ol", *links), aria_label="Contents")


def _settings(settings: Mapping[str, Any]) -> Markup:
    pairs = [tag("div", tag("dt", name), tag("dd", str(value))) for name, value in settings.items()]
    return tag("section", tag("h2", "Search settings"), tag("dl", *pairs, class_="about"), id="about")


class _SectionRenderer:
    """Renders sections as HTML; numbers their tables and plots consecutively."""

    def __init__(self) -> None:
        self._tables, self._charts = count(1), count(1)

    def section(self, section: PageSection) -> Markup:
        """Return one section."""
        return tag("section", tag("h2", section.title), *self._content(section), id=section.key)

    def _content(self, section: PageSection) -> Iterator[Markup]:
        yield from (tag("p", keep_units_together(text)) for text in section.paragraphs)
        yield from map(_command, section.commands)
        yield from (table_figure(table, f"Table {next(self._tables)}") for table in section.tables)
        if section.charts:
            plots = [self._chart(chart) for chart in section.charts]
            caption = tag("figcaption", keep_units_together(section.note))
            yield tag("figure", tag("div", *plots, class_="tiles" if section.tiled else None), caption)

    def _chart(self, chart: Chart) -> Markup:
        plot = chart.figure.to_html(
            config=_CONFIG, full_html=False, include_plotlyjs=False, div_id=f"chart-{next(self._charts)}",
            default_width="100%",
        )  # fmt: skip
        style = f"min-width: {chart.width}px" if chart.width else None
        return scroll_box(tag("div", Markup(plot), class_="chart", style=style), chart.alt)


def _command(command: str) -> Markup:
    button = tag("button", "Copy", type="button", class_="copy")
    return tag("div", tag("pre", tag("code", command), tabindex=0), button, class_="command")
