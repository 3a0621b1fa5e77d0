"""The chapter on the confirmed recipes: by how much the search flattered them, and which is better."""

from collections.abc import Sequence

from fer.analysis.section import Cell, Section, Table
from fer.sweep_reporting.chapter import Chapter, without_blanks
from fer.sweep_reporting.confirming import Confirmation
from fer.sweep_reporting.flattery import Flattery, flattery
from fer.sweep_reporting.found import FoundSweep
from fer.sweep_reporting.written import shown, shown_difference, unit

_METHOD = (
    "Both figures are of the same validation images, so the luck of those stays in both. The interval is a "
    "t-interval over seeds, with their scatter pooled over the recipes."
)
_PROXY = "The search trained cheaper stand-ins, so its values cannot be set against these whole runs."


def chapter(
    sweep: FoundSweep, found: Sequence[Confirmation], paired: Section | None, trouble: str = ""
) -> Chapter:
    """Return the chapter.

    Args:
        sweep: The sweep.
        found: Recipes with runs over new seeds, at least one.
        paired: How they compare; None for a single recipe, or where that could not be told.
        trouble: Why it could not.
    """
    measured = flattery([one.trial.value or 0.0 for one in found], [one.values for one in found], sweep.sign)
    words = [_PROXY] if sweep.is_proxy else [sentence(sweep, found[0], measured[0]), _METHOD]
    words += [f"How the recipes compare could not be told. {trouble}"] if trouble else []
    tables = [_table(sweep, found, measured)]
    if paired is not None:
        words += [word for word in paired.words if word not in words]
        tables += [without_blanks(table) for table in paired.tables]
    return Chapter("confirmed", "Confirmed over new seeds", words, tables=tables)


def sentence(sweep: FoundSweep, best: Confirmation, found: Flattery) -> str:
    """Say by how much the best of many trials was flattered.

    Args:
        sweep: The sweep.
        best: The first in its ranking that has runs over new seeds.
        found: What those say.
    """
    words = f"{_verdict(sweep, best, found)}."
    if found.low is None:
        return f"{words} One seed says nothing of the scatter; --confirm 3 or more does."
    if found.low <= 0.0 <= (found.high or 0.0):
        return f"{words} The interval holds 0: it may be chance."
    return words


def _verdict(sweep: FoundSweep, best: Confirmation, found: Flattery) -> str:
    seeds = "one new seed" if found.seeds == 1 else f"{found.seeds} new seeds"
    before, after = (shown(sweep.objective, value) for value in (found.searched, found.mean))
    values = f"{before} in the search, {after} over {seeds}"
    difference = f"{_with_interval(sweep, found)}{unit(sweep.objective)}"
    if found.value > 0.0:
        return f"The search flattered {_called(sweep, best)}, by {difference}: {values}"
    return f"The search did not flatter {_called(sweep, best)}: {values}, a difference of {difference}"


def _called(sweep: FoundSweep, best: Confirmation) -> str:
    top = sweep.ranking[0].number
    if best.trial.number == top:
        return f"its best, {best.name}"
    return f"the best that was confirmed, {best.name} (trial {top} is better by now)"


def _with_interval(sweep: FoundSweep, found: Flattery) -> str:
    value = shown_difference(sweep.objective, found.value)
    if found.low is None or found.high is None:
        return value
    ends = (shown_difference(sweep.objective, end) for end in (found.low, found.high))
    return f"{value} [{', '.join(ends)}]"


def _table(sweep: FoundSweep, found: Sequence[Confirmation], measured: Sequence[Flattery]) -> Table:
    name = sweep.objective
    columns = ("recipe", "in the search", "over new seeds", "each seed", f"flattered by{unit(name)}")
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, shown(name, one.trial.value), shown(name, of.mean),
            ", ".join(shown(name, value).removesuffix(" %") for value in one.values),
            None if sweep.is_proxy else _with_interval(sweep, of),
        )
        for one, of in zip(found, measured, strict=True)
    ]  # fmt: skip
    caption = f"{name}: the value a recipe was chosen by, and its mean over new seeds; 95 % intervals."
    return without_blanks(Table(columns, rows, caption))
