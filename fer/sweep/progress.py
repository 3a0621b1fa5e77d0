"""Terminal output of a sweep: a line for each trial that ends, on any machine, and a summary."""

import contextlib
import shlex
import threading

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.errors import FerError
from fer.sweep.books import SweepStudy
from fer.sweep.compose import trial_folder
from fer.sweep.plan import Plan
from fer.sweep.wandb_runs import mark_best

POLL_SECONDS = 1.0


class Progress:
    """Context manager that polls the storage every second and prints a line for each trial that has ended.

    Args:
        plan: Plan of the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._sweep_study = SweepStudy(plan)  # not shared, because it is used in another thread
        trials = self._sweep_study.trials()
        self._printed = {trial.number for trial in trials if trial.state.is_finished()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Progress":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread, and print what is left."""
        self._stop.set()
        self._thread.join()
        self._print_new()

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            # the storage may be unreachable for a while; the next poll tries again
            with contextlib.suppress(Exception):
                self._print_new()

    def _print_new(self) -> None:
        trials = self._sweep_study.trials()
        new = [trial for trial in trials if trial.state.is_finished() and trial.number not in self._printed]
        for trial in sorted(new, key=_end_time):
            self._printed.add(trial.number)
            line = describe(trial, self._sweep_study.plan.objective)
            print(f"[{len(self._printed)}/{len(trials)}] {line}", flush=True)


def describe(trial: FrozenTrial, objective: str) -> str:
    """Return a line on how a trial ended."""
    notes = trial.user_attrs
    outcome = {
        TrialState.COMPLETE: f"{objective} {trial.value or 0.0:.4f}",
        TrialState.PRUNED: f"pruned at {notes.get('share', 0.0):.0%}, {objective} {trial.value or 0.0:.4f}",
    }.get(trial.state, f"failed: {notes.get('error', 'no error message was saved')}")
    seconds = f"  {notes['seconds']:.0f} s" if "seconds" in notes else ""
    overrides = " ".join(notes.get("words", [f"{name}={value}" for name, value in trial.params.items()]))
    return f"trial {trial.number}  {outcome}{seconds}  {overrides}"


def print_summary(sweep_study: SweepStudy) -> None:
    """Print how the trials ended, which is best and how to retrain it; mark that one in W&B.

    Raises:
        FerError: The sweep stopped because too many trials failed.
    """
    counts, plan = sweep_study.counts(), sweep_study.plan
    print(f"sweep    {counts.finished} finished, {counts.pruned} pruned, {counts.failed} failed", flush=True)
    if complete := [trial for trial in sweep_study.trials() if trial.state == TrialState.COMPLETE]:
        sign = -1 if sweep_study.study.direction == StudyDirection.MAXIMIZE else 1
        best = min(complete, key=lambda trial: sign * (trial.value or 0.0))
        command = ["fer-train", *sweep_study.study.user_attrs["command"], *best.user_attrs["words"]]
        print(
            f"best     trial {best.number}, {plan.objective} {best.value:.4f} (validation, selection split)"
        )
        print(f"retrain  {shlex.join(command)}")
        print(f"run      {trial_folder(plan.folder, best.number)}", flush=True)
        mark_best(sweep_study, best.number)
    if sweep_study.too_many_failed():
        failed = [trial for trial in sweep_study.trials() if trial.state == TrialState.FAIL]
        raise FerError(
            f"sweep {plan.name}: stopped because {counts.failed} of {counts.total} trials failed, more than "
            f"sweep.max_failed_share={plan.max_failed_share}. The last one: "
            f"{describe(max(failed, key=_end_time), plan.objective)}. Fix the cause and start another sweep, "
            "or resume this one with sweep.resume=true and a larger sweep.max_failed_share."
        )


def _end_time(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
