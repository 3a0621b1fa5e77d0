"""The sections of a sweep's page: best trial, history, importance, parameters, curves, cost, all trials."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from fer.analysis.report.document import Cell, Table
from fer.core.text import agree, counted, duration, percent
from fer.sweep.comparable import comparability_warning
from fer.sweep.leaderboard import Recipe, failures, have_seeds, recipes
from fer.sweep.report import plots
from fer.sweep.report.plots import Chart
from fer.sweep.report.results import (
    STATES,
    Cost,
    SweepResults,
    format_difference,
    format_value,
    parameters_of,
    sweep_costs,
    unit,
)
from fer.training.multirun import resume_command

_NO_MEASUREMENTS = "No trial has been measured yet."


@dataclass(frozen=True)
class PageSection:
    """A section of a sweep's page: text, then commands to copy, tables and plots.

    Attributes:
        key: Its anchor: letters, digits, ``-`` and ``_``.
        title: Its heading.
        paragraphs: The text.
        commands: Command lines to copy.
        tables: In this order.
        charts: In this order.
        note: Caption below the plots.
        tiled: Whether the plots are side by side if there is room.
    """

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    note: str = ""
    tiled: bool = False


def warnings(sweep: SweepResults) -> Iterator[str]:
    """Yield warnings to read first: trials have not ended, have failed, or cannot be compared."""
    count = sweep.count()
    if unfinished := count.get("running", 0) + count.get("waiting", 0):
        yield (
            f"{unfinished} of {counted(len(sweep.trials), 'trial')} {agree(unfinished, 'has', 'have')} not "
            f"ended, so the best trial may change. To resume the sweep: {resume_command(sweep.folder)}"
        )
    if failed := failures(sweep.trials):
        reason = failed[-1].user_attrs.get("error", "no error message was saved")
        trials = counted(len(sweep.trials), "trial")
        yield f"{len(failed)} of {trials} failed, trial {failed[-1].number} with: {reason}"
    if warning := comparability_warning(sweep.folder, sweep.trials, sweep.objective):
        yield warning[0].upper() + warning[1:]
    if not sweep.ranking:
        yield "No trial has finished, so there is no best trial."


def best(sweep: SweepResults) -> PageSection:
    """Return the best trial with the command that trains it again."""
    if not sweep.ranking:
        return PageSection("best", "Best trial", ["No trial has finished yet."])
    trial = sweep.ranking[0]
    value = format_value(sweep.objective, trial.value)
    epoch = trial.user_attrs.get("epoch")
    at_epoch = f" at epoch {epoch:.0f}" if epoch else ""
    paragraphs = [
        f"Trial {trial.number} reached {sweep.objective} {value}{at_epoch}. It is the best of "
        f"{counted(len(sweep.measured), 'trial')} on the split that it is measured on (validation, selection "
        "split), so its value is probably too optimistic (selection bias). fer-sweep-report --confirm 3 "
        "measures by how much."
    ]
    commands = [sweep.command(trial)]
    if sweep.is_proxy:
        paragraphs.append(
            "The trials were cheap proxies of full recipes; --confirm trains the full recipes. The first "
            "command trains the proxy again, the second the full recipe."
        )
        commands.append(sweep.full_command(trial))
    rows: list[tuple[Cell, ...]] = list(parameters_of(trial).items())
    table = Table(("parameter", "value"), rows, "Parameters of the best trial.")
    return PageSection("best", "Best trial", paragraphs, commands, [table])


def history(sweep: SweepResults) -> PageSection:
    """Return the objective of the trials in their order."""
    if not sweep.measured:
        return PageSection("history", "History", [_NO_MEASUREMENTS])
    pruned = " Hollow: pruned trials." if sweep.can_prune else ""
    note = f"Filled: finished trials, at their best epoch.{pruned} Line: best so far."
    return PageSection("history", "History", charts=[plots.history(sweep)], note=note)


def importance(sweep: SweepResults) -> PageSection:
    """Return the importance of each parameter."""
    chart, paragraph = plots.importance(sweep)
    return PageSection("importance", "Parameter importance", [paragraph], charts=[chart] if chart else [])


def parallel(sweep: SweepResults) -> PageSection:
    """Return the parallel coordinates of all parameters."""
    chart = plots.parallel(sweep)
    if chart is None:
        return PageSection("parallel", "All parameters together", [_NO_MEASUREMENTS])
    note = "One line for each trial, darker for better ones."
    if not sweep.is_grid:
        note += " “None”: the parameter does not apply to the trial's choice."
    if sweep.in_state(TrialState.PRUNED):
        note += " Pruned trials are shown at their best value."
    return PageSection("parallel", "All parameters together", charts=[chart], note=note)


def slices(sweep: SweepResults) -> PageSection:
    """Return the objective against each parameter."""
    charts = list(plots.slices(sweep))
    if not charts:
        return PageSection("slices", "Each parameter separately", [_NO_MEASUREMENTS], tiled=True)
    note = (
        "Filled: finished trials. Hollow: pruned trials, at their best value, which is lower than that of a "
        "full training might be."
    )
    note = note if sweep.in_state(TrialState.PRUNED) else "One point for each trial."
    return PageSection("slices", "Each parameter separately", charts=charts, note=note, tiled=True)


def curves(sweep: SweepResults) -> PageSection:
    """Return the learning curves."""
    numbers = [len(trial.intermediate_values) for trial in sweep.trials]
    if not any(numbers):
        return PageSection("curves", "Learning curves", [_NO_MEASUREMENTS])
    if max(numbers) == 1:
        text = "No trial was validated more than once, so there are no curves."
        return PageSection("curves", "Learning curves", [text])
    note = "Thick: the best trial."
    if sweep.in_state(TrialState.PRUNED):
        note += " A cross marks where a trial was pruned."
    return PageSection("curves", "Learning curves", charts=[plots.curves(sweep)], note=note)


def over_seeds(sweep: SweepResults) -> list[PageSection]:
    """Return the table of recipes over seeds; none if no recipe was trained with several."""
    if not have_seeds(found := recipes(sweep.trials, sweep.sign)):
        return []
    keys = list(dict.fromkeys(key for recipe in found for key in _parameters(recipe.words)))
    columns = ("rank", f"mean {sweep.objective}", "sd over seeds", "seeds", *keys)
    rows: list[tuple[Cell, ...]] = [
        (
            str(rank), format_value(sweep.objective, recipe.mean), _sd_text(sweep, recipe),
            len(recipe.trials), *(_parameters(recipe.words).get(key) for key in keys),
        )
        for rank, recipe in enumerate(found, 1)
    ]  # fmt: skip
    caption = (
        "Trials that differ in their seed only, ranked by their mean; sd is the standard deviation over "
        "these seeds, in percentage points for a metric in per cent. All values are of the same images."
    )
    paragraphs = [_seeds_sentence(sweep, found)]
    table = without_empty_columns(Table(columns, rows, caption))
    return [PageSection("seeds", "Mean over seeds", paragraphs, tables=[table])]


def _seeds_sentence(sweep: SweepResults, found: Sequence[Recipe]) -> str:
    """Return a sentence on how the best mean compares with the second best, as far as seeds tell."""
    best = found[0]
    words = " ".join(best.words) or "the recipe"
    mean = format_value(sweep.objective, best.mean)
    sd = "" if best.sd is None else f" ± {_sd_text(sweep, best)}{unit(sweep.objective)}"
    seeds = counted(len(best.trials), "seed")
    sentence = f"Best mean: {words} with {sweep.objective} {mean}{sd} over {seeds}."
    if len(found) < 2:
        return sentence
    gap = format_difference(sweep.objective, abs(best.mean - found[1].mean)).lstrip("+")
    return f"{sentence} The second best is {gap}{unit(sweep.objective)} behind."


def _sd_text(sweep: SweepResults, recipe: Recipe) -> str | None:
    return None if recipe.sd is None else format_difference(sweep.objective, recipe.sd).lstrip("+")


def _parameters(words: Sequence[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def cost(sweep: SweepResults) -> PageSection:
    """Return the cost of the sweep, compared with the same trials without pruning if any may be pruned."""
    ended = [state for state in STATES if state.is_finished() and sweep.in_state(state)]
    if not ended:
        return PageSection("cost", "Cost", ["No trial has ended yet."])
    if not sweep.can_prune:
        return _plain_cost(sweep)
    rows = [*(_cost_row(sweep, STATES[state], state) for state in ended), _cost_row(sweep, "all", *ended)]
    columns = (
        "trials", "number", "image passes", "without pruning", "seconds", "seconds without pruning",
    )  # fmt: skip
    caption = (
        "An image pass is one training image seen once. Without pruning: each pruned trial, extended at the "
        "same speed to the end of its schedule."
    )
    table = Table(columns, rows, caption)
    return PageSection("cost", "Cost", [savings_sentence(*sweep_costs(sweep))], tables=[table])


def _plain_cost(sweep: SweepResults) -> PageSection:
    """Return the cost of a sweep in which nothing is pruned."""
    total, _ = sweep_costs(sweep)
    ended = [trial for trial in sweep.trials if trial.state.is_finished()]
    passes = "" if total.images is None else f" and {total.images:,.0f} image passes"
    sentence = (
        f"{counted(len(ended), 'trial')} took {duration(total.seconds)}{passes}, "
        f"{total.overhead / len(ended):.1f} s of each before and after its training. An image pass is one "
        "training image seen once."
    )
    return PageSection("cost", "Cost", [sentence])


def savings_sentence(actual: Cost, unpruned: Cost) -> str:
    """Return a sentence on the cost as a percentage of that without pruning."""
    parts = []
    if actual.images is not None and unpruned.images:
        parts.append(f"{percent(actual.images / unpruned.images, 0)} of the image passes")
    if unpruned.seconds:
        parts.append(f"{percent(actual.seconds / unpruned.seconds, 0)} of the time")
    if not parts:
        return "The cost is unknown because the run folders are missing."
    return f"The sweep took {' and '.join(parts)} that the same trials would have taken without pruning."


def _cost_row(sweep: SweepResults, label: str, *states: TrialState) -> tuple[Cell, ...]:
    costs = sweep_costs(sweep, *states)
    images = [None if cost.images is None else round(cost.images) for cost in costs]
    return (label, len(sweep.in_state(*states)), *images, *(round(cost.seconds) for cost in costs))


def trials(sweep: SweepResults) -> PageSection:
    """Return the table of all trials, best first."""
    keys = list(dict.fromkeys(key for trial in sweep.trials for key in parameters_of(trial)))
    columns = ("trial", "state", sweep.objective, "schedule", "seconds", *keys, "remark")
    rows = [_trial_row(sweep, trial, keys) for trial in _in_order(sweep)]
    pruned = "; then pruned ones, by their best value" if sweep.can_prune else ""
    caption = f"{counted(len(rows), 'trial')}: finished ones first, best on top{pruned}."
    return PageSection("trials", "All trials", tables=[without_empty_columns(Table(columns, rows, caption))])


def _in_order(sweep: SweepResults) -> list[FrozenTrial]:
    pruned = sweep.in_state(TrialState.PRUNED)
    measured = [trial for trial in pruned if trial.intermediate_values]
    measured.sort(key=lambda trial: -sweep.sign * (sweep.best_value(trial) or 0.0))
    unmeasured = [trial for trial in pruned if not trial.intermediate_values]
    rest = sweep.in_state(TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
    return [*sweep.ranking, *measured, *unmeasured, *rest]


def _trial_row(sweep: SweepResults, trial: FrozenTrial, keys: list[str]) -> tuple[Cell, ...]:
    notes, parameters = trial.user_attrs, parameters_of(trial)
    value = trial.value if trial.state == TrialState.COMPLETE else sweep.best_value(trial)
    schedule = percent(notes["share"], 0) if "share" in notes else None
    seconds = round(notes["seconds"]) if "seconds" in notes else None
    return (
        str(trial.number), STATES[trial.state], format_value(sweep.objective, value), schedule, seconds,
        *(rounded(parameters.get(key)) for key in keys), notes.get("error"),
    )  # fmt: skip


def rounded(text: str | None) -> str | None:
    """Return a long number with three significant digits; the command has all digits."""
    try:
        return text if text is None or len(text) < 7 else f"{float(text):.3g}"
    except ValueError:
        return text


def without_empty_columns(table: Table) -> Table:
    """Return a table without the columns that have no value in any row."""
    rows: list[tuple[Cell, ...]] = table.rows
    used = [index for index in range(len(table.columns)) if any(row[index] is not None for row in rows)]
    columns = tuple(table.columns[index] for index in used)
    return Table(columns, [tuple(row[index] for index in used) for row in rows], table.caption)
