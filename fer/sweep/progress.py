"""What a sweep says on the screen: a line for each trial that ends, wherever it ran, and how it all went."""

import contextlib
import shlex
import threading

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.errors import FerError
from fer.sweep.books import Books
from fer.sweep.compose import trial_folder
from fer.sweep.plan import Plan
from fer.sweep.wandb_runs import mark_best

LOOK_SECONDS = 1.0


class Progress:
    """Look into the storage every second and print a line for each trial that has ended since.

    Args:
        plan: Of the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._books = Books(plan)  # of its own: it works in a thread of its own
        self._said = {trial.number for trial in self._books.trials() if trial.state.is_finished()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Progress":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, when all is said."""
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with contextlib.suppress(Exception):  # a storage out of reach for a while; there is a next look
                self._look()

    def _look(self) -> None:
        trials = self._books.trials()
        new = [trial for trial in trials if trial.state.is_finished() and trial.number not in self._said]
        for trial in sorted(new, key=_ended_at):
            self._said.add(trial.number)
            print(
                f"[{len(self._said)}/{len(trials)}] {describe(trial, self._books.plan.objective)}", flush=True
            )


def describe(trial: FrozenTrial, objective: str) -> str:
    """Return a line on how a trial ended."""
    notes = trial.user_attrs
    outcome = {
        TrialState.COMPLETE: f"{objective} {trial.value or 0.0:.4f}",
        TrialState.PRUNED: f"pruned at {notes.get('share', 0.0):.0%}, {objective} {trial.value or 0.0:.4f}",
    }.get(trial.state, f"failed: {notes.get('error', 'no reason was left')}")
    took = f"  {notes['seconds']:.0f} s" if "seconds" in notes else ""
    words = " ".join(notes.get("words", [f"{name}={value}" for name, value in trial.params.items()]))
    return f"trial {trial.number}  {outcome}{took}  {words}"


def conclude(books: Books) -> None:
    """Say how the trials ended, which is best, and how to train it again.

    Raises:
        FerError: It stopped because too many failed.
    """
    tally, plan = books.tally(), books.plan
    print(f"sweep    {tally.finished} finished, {tally.pruned} pruned, {tally.failed} failed", flush=True)
    if complete := [trial for trial in books.trials() if trial.state == TrialState.COMPLETE]:
        sign = -1 if books.study.direction == StudyDirection.MAXIMIZE else 1
        best = min(complete, key=lambda trial: sign * (trial.value or 0.0))
        words = ["fer-train", *books.study.user_attrs["command"], *best.user_attrs["words"]]
        print(
            f"best     trial {best.number}, {plan.objective} {best.value:.4f} (validation, selection split)"
        )
        print(f"again    {shlex.join(words)}")
        print(f"run      {trial_folder(plan.folder, best.number)}", flush=True)
        mark_best(books, best.number)
    if books.too_many_failed():
        last = max((trial for trial in books.trials() if trial.state == TrialState.FAIL), key=_ended_at)
        raise FerError(
            f"sweep {plan.name}: stopped, as {tally.failed} of {tally.all} trials failed, more than "
            f"sweep.max_failed_share={plan.max_failed_share}. The last: {describe(last, plan.objective)}. "
            "Mend that and begin another sweep, or go on with sweep.resume=true and a larger share."
        )


def _ended_at(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
