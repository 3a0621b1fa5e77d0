"""The report of a sweep: its HTML page, and a short summary in the terminal."""

from pathlib import Path

from fer.analysis.report.write import write_atomically
from fer.errors import FerError
from fer.sweep_reporting import chapters
from fer.sweep_reporting.chapter import PageSection
from fer.sweep_reporting.confirm_chapter import confirmation_section
from fer.sweep_reporting.confirming import load_confirmations
from fer.sweep_reporting.cost import sweep_costs
from fer.sweep_reporting.found import SweepResults, search_settings
from fer.sweep_reporting.page import page
from fer.sweep_reporting.written import format_percent, format_value


def report(sweep: SweepResults) -> Path:
    """Write ``report.html`` into the sweep's folder atomically, and print the summary.

    Returns:
        The path of the page.

    Raises:
        FerError: The page cannot be written.
    """
    confirmation = _confirmation(sweep)
    cost = chapters.cost(sweep)
    sections = [
        chapters.best(sweep), *confirmation, chapters.history(sweep), chapters.importance(sweep),
        chapters.parallel(sweep), chapters.slices(sweep), chapters.curves(sweep), cost,
        chapters.trials(sweep),
    ]  # fmt: skip
    warnings = list(chapters.warnings(sweep))
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
    """Return the section on confirmed recipes; none if there are none."""
    if not (confirmations := load_confirmations(sweep)):
        return []
    # imports torch, so only if it is needed
    from fer.sweep_reporting.duel import paired_comparison

    try:
        comparison = paired_comparison(confirmations, sweep.objective)
    except FerError as error:  # e.g. a run folder that was moved: the rest of the page is still useful
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
