"""What a sweep prints: a line for each trial that ends, and the summary with a leaderboard at the end."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial, TrialState

from fer.core.errors import FerError
from fer.core.text import aligned, counted
from fer.sweep.comparable import comparability_warning
from fer.sweep.compose import trial_folder
from fer.sweep.leaderboard import Recipe, failures, have_seeds, is_measured, ranked, recipes, words_of
from fer.sweep.objectives import beyond_limits, front, is_feasible, objectives_of, values_text
from fer.sweep.plan import SCHEDULE_STEPS, Plan
from fer.sweep.study import SweepStudy, repeat
from fer.sweep.wandb import tag_best, tag_front
from fer.training.multirun import resume_command

# Interval at which the storage is polled for trials that have ended.
POLL_SECONDS = 1.0
# Rows of the leaderboard.
TOP = 10


@contextlib.contextmanager
def progress(plan: Plan) -> Iterator[None]:
    """Poll the storage every second, and print a line for each trial that has ended.

    On a terminal the last line shows how far the running trials are.
    """
    # Used in another thread, so it is not shared with the caller.
    sweep_study = SweepStudy(plan)
    printed = {trial.number for trial in sweep_study.trials() if trial.state.is_finished()}

    def print_new() -> None:
        trials = sweep_study.trials()
        new = [trial for trial in trials if trial.state.is_finished() and trial.number not in printed]
        for trial in sorted(new, key=_end_time):
            printed.add(trial.number)
            line = f"[{len(printed)}/{len(trials)}] {describe_trial(trial, plan.objective)}"
            print(f"{clear}{line}", flush=True)
        if clear:
            print(f"{clear}{describe_running(trials, plan.objective)}", end="", flush=True)

    # Returns to the start of the line and clears it.
    clear = "\r\x1b[K" if sys.stdout.isatty() else ""
    try:
        with repeat(print_new, POLL_SECONDS):
            yield
    finally:
        print_new()
        print(clear, end="", flush=True)


def describe_running(trials: Sequence[FrozenTrial], objective: str) -> str:
    """Return how far the running trials are, cut to the width of the terminal."""
    texts = []
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            step = max(trial.intermediate_values, default=0)
            value = f" {trial.intermediate_values[step]:.4f}" if step else ""
            texts.append(f"trial {trial.number} at {step / SCHEDULE_STEPS:.0%}{value}")
    text = f"{objective}: {', '.join(texts)}" if texts else ""
    return text[: max(20, shutil.get_terminal_size().columns - 1)]


def describe_trial(trial: FrozenTrial, objective: str) -> str:
    """Return a line with the outcome, duration and overrides of a trial that has ended."""
    notes = trial.user_attrs
    finished = f"{objective} {trial.value or 0.0:.4f}" if is_measured(trial) else f"finished, no {objective}"
    others = values_text({name: value for name, value in objectives_of(trial).items() if name != objective})
    pruned = f"pruned at {notes.get('share', 0.0):.0%}, {objective} {trial.value or 0.0:.4f}"
    outcome = {
        TrialState.COMPLETE: f"{finished}  {others}" if others else finished,
        TrialState.PRUNED: beyond_limits(trial) or pruned,
    }.get(trial.state, f"failed: {notes.get('error', 'no error message was saved')}")
    seconds = f"  {seconds_text(notes['seconds'])} s" if "seconds" in notes else ""
    return f"trial {trial.number}  {outcome}{seconds}  {' '.join(words_of(trial))}"


def print_summary(sweep_study: SweepStudy) -> None:
    """Print the number of trials by outcome, and the best trial with its command; tag that trial in W&B.

    Raises:
        FerError: Too many trials have failed, or all, or any of a grid.
    """
    counts, plan, trials = sweep_study.counts(), sweep_study.plan, sweep_study.trials()
    sign = sweep_study.sign
    failed = failures(trials)
    again = f" ({counts.failed - len(failed)} trained again)" if len(failed) < counts.failed else ""
    beyond = sum(not is_feasible(trial) for trial in trials)
    pruned = f"{counts.pruned - beyond} pruned, " if not plan.is_grid else ""
    pruned += f"{beyond} beyond the limits, " if plan.constraints.limits() else ""
    print(f"sweep    {counts.finished} finished, {pruned}{counts.failed} failed{again}", flush=True)
    if beyond and beyond == len(trials):
        limits = plan.constraints.limits().items()
        named = ", ".join(f"sweep.constraints.{name}={limit:g}" for name, limit in limits)
        print(
            f"WARNING: every trial is beyond {named}: none was trained. Raise it, or search smaller networks."
        )
    if plan.is_grid:
        print_leaderboard(trials, sign, plan.objective)
        print(flush=True)
    if len(plan.all_objectives) > 1:
        _print_front(sweep_study, trials)
    if warning := comparability_warning(plan.folder, trials, plan.objective):
        print(f"WARNING: {warning}", flush=True)
    if best := ranked(trials, sign)[:1]:
        _print_best(sweep_study, best[0])
        if len(plan.all_objectives) > 1:
            tag_front(sweep_study, front(sweep_study.study))
    _check_failures(sweep_study, failed)


def _print_front(sweep_study: SweepStudy, trials: Sequence[FrozenTrial]) -> None:
    """Print the trials that no other one beats in every objective."""
    names = sweep_study.plan.all_objectives
    numbers = front(sweep_study.study)
    rows = []
    for trial in (trials[number] for number in numbers[:TOP]):
        values = [f"{objectives_of(trial)[name]:.4g}" for name in names]
        rows.append((str(trial.number), *values, " ".join(words_of(trial))))
    if rows:
        print("\nPareto front: no other trial is better in every objective", end="")
        _print_table(("trial", *names, "overrides"), rows, len(numbers))
        print(flush=True)


def _print_best(sweep_study: SweepStudy, best: FrozenTrial) -> None:
    plan = sweep_study.plan
    command = ["fer-train", *sweep_study.study.user_attrs["command"], *words_of(best)]
    print(f"best     trial {best.number}, {plan.objective} {best.value:.4f} (validation, selection split)")
    print(f"retrain  {shlex.join(command)}")
    print(f"run      {trial_folder(plan.folder, best)}")
    print(f"report   fer-sweep-report {shlex.quote(str(plan.folder))}", flush=True)
    tag_best(sweep_study, best.number)


def print_leaderboard(trials: Sequence[FrozenTrial], sign: int, objective: str) -> None:
    """Print the best trials, and the best recipes over seeds if any was trained with several."""
    best = ranked(trials, sign)
    if len(best) > 1:
        rows = [_trial_row(rank, trial) for rank, trial in enumerate(best[:TOP], 1)]
        _print_table(("rank", "trial", objective, "epoch", "seconds", "overrides"), rows, len(best))
    if have_seeds(found := recipes(trials, sign)):
        rows = [_recipe_row(rank, recipe) for rank, recipe in enumerate(found[:TOP], 1)]
        _print_table(("rank", f"mean {objective}", "sd", "seeds", "overrides"), rows, len(found))


def _trial_row(rank: int, trial: FrozenTrial) -> tuple[str, ...]:
    epoch, seconds = trial.user_attrs.get("epoch"), trial.user_attrs.get("seconds", 0.0)
    return (
        str(rank), str(trial.number), f"{trial.value or 0.0:.4f}", "" if epoch is None else f"{epoch:.0f}",
        seconds_text(seconds), " ".join(words_of(trial)),
    )  # fmt: skip


def seconds_text(seconds: float) -> str:
    """Return a duration in seconds, with a decimal below 10 s."""
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def _recipe_row(rank: int, recipe: Recipe) -> tuple[str, ...]:
    sd = "" if recipe.sd is None else f"{recipe.sd:.4f}"
    return str(rank), f"{recipe.mean:.4f}", sd, str(len(recipe.trials)), " ".join(recipe.words)


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]], total: int) -> None:
    """Print a table whose last column is left-aligned, and say so if it does not have all rows."""
    print("", *aligned([columns, *rows], right=range(len(columns) - 1)), sep="\n")
    if total > len(rows):
        print(f"… and {total - len(rows)} more: fer-sweep-report has all of them")


def _check_failures(sweep_study: SweepStudy, failed: Sequence[FrozenTrial]) -> None:
    plan, counts = sweep_study.plan, sweep_study.counts()
    if not failed:
        return
    last = describe_trial(max(failed, key=_end_time), plan.objective)
    if sweep_study.too_many_failed() and not plan.is_grid:
        raise FerError(
            f"sweep {plan.name}: stopped because {counts.failed} of {counted(counts.total, 'trial')} failed, "
            f"more than sweep.max_failed_share={plan.max_failed_share}. The last one: {last}. Fix the cause "
            "and start another sweep, or resume this one with sweep.resume=true and a larger "
            "sweep.max_failed_share."
        )
    if plan.is_grid:
        for trial in failed:
            error = trial.user_attrs.get("error", "no error message was saved")
            print(f"failed   trial {trial.number}  {' '.join(words_of(trial))}: {error}", flush=True)
        numbers = ", ".join(str(trial.number) for trial in failed)
        raise FerError(
            f"sweep {plan.name}: {len(failed)} of {counted(counts.total, 'trial')} failed: {numbers}. Fix "
            f"the cause, and train them again with: {resume_command(plan.folder)}"
        )
    if not counts.finished + counts.pruned:
        raise FerError(f"sweep {plan.name}: every trial failed. The last one: {last}.")


def _end_time(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
