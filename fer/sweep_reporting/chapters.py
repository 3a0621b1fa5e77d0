"""What the page of a sweep says, chapter by chapter."""

from collections.abc import Iterator

from optuna.trial import FrozenTrial, TrialState

from fer.analysis.section import Cell, Table
from fer.sweep_reporting import figures
from fer.sweep_reporting.chapter import Chapter, without_blanks
from fer.sweep_reporting.cost import Cost, both, spent, total, whole
from fer.sweep_reporting.found import STATES, FoundSweep, chosen
from fer.sweep_reporting.written import percent, shown

_NOTHING = "No trial has been measured yet."


def warnings(sweep: FoundSweep) -> Iterator[str]:
    """Yield what changes how the page is to be read."""
    count = sweep.count()
    if open_ := count.get("running", 0) + count.get("waiting", 0):
        yield (
            f"{open_} of {len(sweep.trials)} trials have not ended: what is best may change. "
            "The command of the sweep with sweep.resume=true goes on with it."
        )
    if failed := sweep.in_state(TrialState.FAIL):
        reason = failed[-1].user_attrs.get("error", "no reason was left")
        yield f"{len(failed)} of {len(sweep.trials)} trials failed, trial {failed[-1].number} with: {reason}"
    if not sweep.ranking:
        yield "No trial has finished, so there is no best one."


def best(sweep: FoundSweep) -> Chapter:
    """Return the best trial and the command that trains it again."""
    if not sweep.ranking:
        return Chapter("best", "Best trial", ["No trial has finished yet."])
    trial = sweep.ranking[0]
    value = shown(sweep.objective, trial.value)
    epoch = trial.user_attrs.get("epoch")
    after = f", at epoch {epoch:.0f}" if epoch else ""
    words = [
        f"Trial {trial.number} reached {sweep.objective} {value}{after}. It was chosen as the best of "
        f"{len(sweep.judged)} trials on the split that it is measured on (validation, selection split), so "
        "luck has a part in it: fer-sweep-report --confirm 3 measures how large a part."
    ]
    commands = [sweep.command(trial)]
    if sweep.is_proxy:
        words.append(
            "The trials were cheaper than the recipes they stand for; --confirm trains these whole. The "
            "first command trains the cheap trial again, the second its whole recipe."
        )
        commands.append(sweep.whole_command(trial))
    rows: list[tuple[Cell, ...]] = list(chosen(trial).items())
    table = Table(("parameter", "value"), rows, "What the search chose for it.")
    return Chapter("best", "Best trial", words, commands, [table])


def history(sweep: FoundSweep) -> Chapter:
    """Return how the search went on."""
    if not sweep.judged:
        return Chapter("history", "History", [_NOTHING])
    note = "Filled: finished trials, at their best epoch. Hollow: stopped early. Line: best until then."
    return Chapter("history", "History", charts=[figures.history(sweep)], note=note)


def importance(sweep: FoundSweep) -> Chapter:
    """Return which parameter mattered how much."""
    chart, words = figures.importance(sweep)
    return Chapter("importance", "What mattered", [words], charts=[chart] if chart else [])


def parallel(sweep: FoundSweep) -> Chapter:
    """Return all parameters together."""
    chart = figures.parallel(sweep)
    words = [] if chart else [_NOTHING]
    note = (
        "A line a trial, darker the better; “None” where a parameter does not go with the trial's choice. "
        "Trials stopped early stand at the best value until then."
    )
    charts = [chart] if chart else []
    return Chapter("parallel", "All parameters together", words, charts=charts, note=note if chart else "")


def slices(sweep: FoundSweep) -> Chapter:
    """Return each parameter by itself."""
    charts = list(figures.slices(sweep))
    note = "Filled: finished. Hollow: stopped early, at the best value until then, so lower than it might be."
    words = [] if charts else [_NOTHING]
    note = note if charts else ""
    return Chapter("slices", "Each parameter by itself", words, charts=charts, note=note, tiled=True)


def curves(sweep: FoundSweep) -> Chapter:
    """Return the learning curves."""
    if not any(trial.intermediate_values for trial in sweep.trials):
        return Chapter("curves", "Learning curves", [_NOTHING])
    note = "Thick: the best trial. A cross ends a trial where it was stopped early."
    return Chapter("curves", "Learning curves", charts=[figures.curves(sweep)], note=note)


def cost(sweep: FoundSweep) -> Chapter:
    """Return what was spent, beside the same trials without pruning."""
    ended = [trial for trial in sweep.trials if trial.state.is_finished()]
    if not ended:
        return Chapter("cost", "Cost", ["No trial has ended yet."])
    rows = [_cost_row(sweep, state) for state in STATES if state.is_finished() and sweep.in_state(state)]
    own, unpruned = both(sweep)
    rows.append(_cells("all", len(ended), own, unpruned))
    columns = (
        "trials", "number", "image passes", "without pruning", "seconds", "seconds without pruning",
    )  # fmt: skip
    caption = (
        "An image pass is one training image seen once. Without pruning: each trial that was stopped early, "
        "at the same speed to the end of its schedule."
    )
    return Chapter("cost", "Cost", [saving(own, unpruned)], tables=[Table(columns, rows, caption)])


def saving(own: Cost, unpruned: Cost) -> str:
    """Say what share of an unpruned sweep was spent."""
    words = f"{percent(own.seconds / unpruned.seconds)} of the time" if unpruned.seconds else ""
    if own.images is not None and unpruned.images:
        passes = f"{percent(own.images / unpruned.images)} of the image passes"
        words = f"{passes} and {words}" if words else passes
    if not words:
        return "What it cost is not known, as its run folders are not at hand."
    return f"It took {words} that the same trials would have taken without pruning."


def _cost_row(sweep: FoundSweep, state: TrialState) -> tuple[Cell, ...]:
    trials = sweep.in_state(state)
    costs = [spent(sweep, trial) for trial in trials]
    full = [whole(trial, cost) for trial, cost in zip(trials, costs, strict=True)]
    return _cells(STATES[state], len(trials), total(costs), total(full))


def _cells(word: str, number: int, own: Cost, unpruned: Cost) -> tuple[Cell, ...]:
    images = [None if cost.images is None else round(cost.images) for cost in (own, unpruned)]
    return (word, number, *images, round(own.seconds), round(unpruned.seconds))


def trials(sweep: FoundSweep) -> Chapter:
    """Return the table of all trials, those that got furthest first."""
    keys = list(dict.fromkeys(key for trial in sweep.trials for key in chosen(trial)))
    columns = ("trial", "state", sweep.objective, "schedule", "seconds", *keys, "remark")
    rows = [_trial_row(sweep, trial, keys) for trial in _in_order(sweep)]
    caption = (
        f"{len(rows)} trials: finished ones first, best on top; then those stopped early, by their best."
    )
    return Chapter("trials", "All trials", tables=[without_blanks(Table(columns, rows, caption))])


def _in_order(sweep: FoundSweep) -> list[FrozenTrial]:
    pruned = sweep.in_state(TrialState.PRUNED)
    measured = [trial for trial in pruned if trial.intermediate_values]
    measured.sort(key=lambda trial: -sweep.sign * (sweep.reached(trial) or 0.0))
    never = [trial for trial in pruned if not trial.intermediate_values]
    rest = sweep.in_state(TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
    return [*sweep.ranking, *measured, *never, *rest]


def _trial_row(sweep: FoundSweep, trial: FrozenTrial, keys: list[str]) -> tuple[Cell, ...]:
    notes, values = trial.user_attrs, chosen(trial)
    value = trial.value if trial.state == TrialState.COMPLETE else sweep.reached(trial)
    share = percent(notes["share"]) if "share" in notes else None
    seconds = round(notes["seconds"]) if "seconds" in notes else None
    parameters = [_rounded(values.get(key)) for key in keys]
    state = STATES[trial.state]
    return (
        str(trial.number), state, shown(sweep.objective, value), share, seconds, *parameters,
        notes.get("error"),
    )  # fmt: skip


def _rounded(word: str | None) -> str | None:
    """Write a number with three digits; the command has all of them."""
    try:
        return word if word is None or len(word) < 7 else f"{float(word):.3g}"
    except ValueError:
        return word
