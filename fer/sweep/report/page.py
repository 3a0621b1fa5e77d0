"""The page of a sweep: one HTML file with interactive plots, which loads nothing from the network."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import plotly.offline
from markupsafe import Markup

from fer.analysis.report.html import Card, page_environment, render
from fer.analysis.report.write import write_atomically
from fer.core.errors import FerError
from fer.core.text import duration, percent
from fer.sweep.leaderboard import have_seeds, recipes
from fer.sweep.report import sections as report_sections
from fer.sweep.report.confirm import confirmation_section, load_confirmations, paired_comparison
from fer.sweep.report.pareto import pareto_section
from fer.sweep.report.plots import Chart
from fer.sweep.report.results import (
    SweepResults,
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
        report_sections.best(sweep), *pareto_section(sweep), *report_sections.over_seeds(sweep),
        *confirmation,
        *([] if sweep.is_grid else [report_sections.history(sweep)]),
        report_sections.importance(sweep),
        report_sections.parallel(sweep), report_sections.slices(sweep),
        *([report_sections.curves(sweep)] if len(sweep.objectives) == 1 else []), cost,
        report_sections.trials(sweep),
    ]  # fmt: skip
    warnings = list(report_sections.warnings(sweep))
    path = sweep.folder / "report.html"
    html = _render(sweep, warnings, sections)
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


def _main_results(sweep: SweepResults) -> list[Card]:
    cards = []
    if sweep.ranking:
        best = sweep.ranking[0]
        remark = f"trial {best.number}; validation, selection split"
        cards.append(Card(f"Best {sweep.objective}", format_value(sweep.objective, best.value), remark))
    cards.append(Card("Trials", str(len(sweep.trials)), _counts(sweep)))
    if have_seeds(found := recipes(sweep.trials, sweep.sign)):
        mean = format_value(sweep.objective, found[0].mean)
        cards.append(Card("Best mean over seeds", mean, " ".join(found[0].words) or "one recipe"))
    actual, unpruned = sweep_costs(sweep)
    if sweep.front:
        cards.append(Card("Pareto front", str(len(sweep.front)), "trials that no other one beats"))
    if not sweep.can_prune:
        cards.append(Card("Time", duration(actual.seconds), "of all trials together"))
    elif actual.images is not None and unpruned.images:
        fraction = percent(actual.images / unpruned.images, 0)
        cards.append(Card("Image passes", fraction, "of those of the same trials without pruning"))
    return cards


def _render(sweep: SweepResults, warnings: Sequence[str], sections: Sequence[PageSection]) -> str:
    ids = count(1)
    return render(
        page_environment(Path(__file__).parent),
        "sweep.html.j2",
        title=f"{'Grid' if sweep.is_grid else 'Sweep'} {sweep.name}",
        policy=POLICY,
        plotly=Markup(plotly.offline.get_plotlyjs()),
        facts=f"{', '.join(sweep.objectives)} · {_counts(sweep)}",
        warnings=warnings,
        sections=sections,
        cards_title="Main results",
        cards=_main_results(sweep),
        about_title="Values" if sweep.is_grid else "Search settings",
        about=search_settings(sweep).items(),
        plot=lambda chart: _plot(chart, next(ids)),
    )


def _plot(chart: Chart, number: int) -> Markup:
    return Markup(
        chart.figure.to_html(
            config=_CONFIG,
            full_html=False,
            include_plotlyjs=False,
            div_id=f"chart-{number}",
            default_width="100%",
        )
    )
