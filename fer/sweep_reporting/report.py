"""The report of a sweep: its page, and a short summary on the screen."""

from pathlib import Path

from fer.analysis.report.write import write_whole
from fer.errors import FerError
from fer.sweep_reporting import chapters
from fer.sweep_reporting.chapter import Chapter
from fer.sweep_reporting.confirm_chapter import chapter as confirm_chapter
from fer.sweep_reporting.confirming import confirmed
from fer.sweep_reporting.cost import both
from fer.sweep_reporting.found import FoundSweep, about
from fer.sweep_reporting.page import page
from fer.sweep_reporting.written import percent, shown


def report(sweep: FoundSweep) -> Path:
    """Write ``report.html`` in the sweep's folder, whole or not at all, and print the summary.

    Returns:
        Its path.

    Raises:
        FerError: The page cannot be written.
    """
    extra = _confirmed(sweep)
    cost = chapters.cost(sweep)
    parts = [
        chapters.best(sweep), *extra, chapters.history(sweep), chapters.importance(sweep),
        chapters.parallel(sweep), chapters.slices(sweep), chapters.curves(sweep), cost,
        chapters.trials(sweep),
    ]  # fmt: skip
    warnings = list(chapters.warnings(sweep))
    facts = f"{sweep.objective} · {_counted(sweep)}"
    path = sweep.folder / "report.html"
    words = page(f"Sweep {sweep.name}", facts, _headline(sweep), warnings, parts, about(sweep))
    sweep.folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, words)
    _print(sweep, [*warnings, *cost.words, *[word for one in extra for word in one.words]], path)
    return path


def _confirmed(sweep: FoundSweep) -> list[Chapter]:
    if not (runs := confirmed(sweep)):
        return []
    from fer.sweep_reporting.duel import duel  # loads torch

    try:
        return [confirm_chapter(sweep, runs, duel(runs, sweep.objective))]
    except FerError as error:  # a run that was moved, say; all else is worth its page
        return [confirm_chapter(sweep, runs, None, str(error))]


def _print(sweep: FoundSweep, words: list[str], path: Path) -> None:
    print(f"sweep    {sweep.name}: {_counted(sweep)}")
    if sweep.ranking:
        best = sweep.ranking[0]
        value = shown(sweep.objective, best.value)
        print(f"best     trial {best.number}, {sweep.objective} {value} (validation, selection split)")
        print(f"again    {sweep.command(best)}")
        if sweep.is_proxy:
            print(f"whole    {sweep.whole_command(best)}")
    for word in words:
        print(word)
    print(f"report   {path}", flush=True)


def _counted(sweep: FoundSweep) -> str:
    return ", ".join(f"{number} {word}" for word, number in sweep.count().items())


def _headline(sweep: FoundSweep) -> dict[str, tuple[str, str]]:
    cards = {}
    if sweep.ranking:
        best = sweep.ranking[0]
        remark = f"trial {best.number}; validation, selection split"
        cards[f"Best {sweep.objective}"] = (shown(sweep.objective, best.value), remark)
    cards["Trials"] = (str(len(sweep.trials)), _counted(sweep))
    own, unpruned = both(sweep)
    if own.images is not None and unpruned.images:
        share = percent(own.images / unpruned.images)
        cards["Image passes"] = (share, "of those of the same trials without pruning")
    return cards
