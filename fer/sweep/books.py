"""The study behind a sweep: its trials, handed out once each, and what became of them.

All trials of a sweep are put into the storage as waiting ones when it begins. A worker takes one, and when
its process dies the trial waits again, its number and parameters as before. So none is lost, and none is
done twice. What changes the books is done under one lock.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from fer.sweep.liveness import is_gone, this_process
from fer.sweep.plan import Plan
from fer.sweep.search import build_pruner, build_sampler
from fer.sweep.space import Value, suggest
from fer.sweep.storage import lock, open_storage

OWNER, PULSE, DEATHS, SESSION = "fer:owner", "fer:pulse", "fer:deaths", "fer:session"
REPORTS = "fer:reports"  # that it had given when its process last died
MAX_DEATHS = 3  # a trial whose process died as often, and came no further, is likely to be the reason
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Tally:
    """How many trials have ended how, and how many have not."""

    finished: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def ended(self) -> int:
        """Return how many have ended."""
        return self.finished + self.pruned + self.failed

    @property
    def all(self) -> int:
        """Return how many there are."""
        return self.ended + self.running + self.waiting


class Books:
    """A sweep's study, and all that a worker does to it.

    Args:
        plan: Of the sweep.
        storage: Opened already, where the caller has it.
    """

    def __init__(self, plan: Plan, storage: BaseStorage | None = None) -> None:
        self.plan = plan
        self.storage = storage or open_storage(plan.address)
        self.study: Study = optuna.load_study(
            study_name=plan.name, storage=self.storage, pruner=build_pruner(plan.pruner),
            sampler=build_sampler("random", plan.seed, 0),
        )  # fmt: skip

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def tally(self) -> Tally:
        """Count them."""
        states = [trial.state for trial in self.trials()]
        order = (
            TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING,
        )  # fmt: skip
        return Tally(*(states.count(state) for state in order))

    def too_many_failed(self) -> bool:
        """Return whether the sweep should stop for its failures."""
        tally = self.tally()
        return tally.failed > self.plan.max_failed_share * tally.all

    def busy(self) -> int:
        """Return how many workers of this session are at a trial."""
        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        return sum(trial.system_attrs.get(SESSION) == self.plan.session for trial in running)

    def take(self, idle: bool = False) -> tuple[Trial, dict[str, Value]] | None:
        """Take a waiting trial; None where none waits, or too many have failed.

        Args:
            idle: This process is at no trial: one that is its own, as where the storage went away while it
                was being taken, waits again first.

        Returns:
            The trial, this process its owner, and its value for each key of the config.
        """
        with lock(self.plan.address, self.plan.name):
            self.revive(own=idle)
            waiting = [trial.number for trial in self.trials() if trial.state == TrialState.WAITING]
            if not waiting or self.too_many_failed():
                return None
            self.study.sampler = build_sampler(self.plan.sampler, self.plan.seed, waiting[0])
            trial = self.study.ask()
            self._mark(trial._trial_id, OWNER, this_process())
            self._mark(trial._trial_id, SESSION, self.plan.session)
            self.beat(trial)
            return trial, suggest(trial, self.plan.space)

    def beat(self, trial: Trial) -> None:
        """Note that a trial's process is alive."""
        self._mark(trial._trial_id, PULSE, time.time())

    def owns(self, trial: Trial) -> bool:
        """Return whether a trial is still this process's, and was not given to another in its absence."""
        own = self.storage.get_trial(trial._trial_id)
        return own.state == TrialState.RUNNING and own.system_attrs.get(OWNER) == this_process()

    def tell(
        self,
        trial: Trial,
        state: TrialState,
        value: float | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write down how a trial ended, unless it is another's by now.

        Args:
            trial: The trial.
            state: Complete, pruned, failed; or waiting, to put it back.
            value: Of a complete one.
            notes: User attributes to set.

        Returns:
            Whether it was written down.
        """
        with lock(self.plan.address, self.plan.name):
            if not self.owns(trial):
                return False
            for key, note in (notes or {}).items():
                trial.set_user_attr(key, note)
            if state == TrialState.WAITING:
                self.storage.set_trial_state_values(trial._trial_id, state)
            else:
                self.study.tell(trial, value, state)
            return True

    def revive(self, own: bool = False) -> None:
        """Let trials of dead processes wait again, those that died too often fail; under the lock.

        Args:
            own: Those of this process as well, as its worker has ended and could not write down how. They
                count as no deaths.
        """
        for trial in self.trials():
            owner = trial.system_attrs.get(OWNER)
            is_mine = own and owner == this_process()
            if trial.state == TrialState.RUNNING and (is_mine or is_gone(owner, _pulse(trial))):
                deaths = _deaths(trial) + (not is_mine)
                self._mark(trial._trial_id, DEATHS, deaths)
                self._mark(trial._trial_id, REPORTS, len(trial.intermediate_values))
                if deaths < MAX_DEATHS:
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                    continue
                words = f"its process died {deaths} times, killed perhaps for the memory it took"
                self.storage.set_trial_user_attr(trial._trial_id, "error", words)
                self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def revive_own(self) -> None:
        """Let trials that this process lost wait again; its worker must be at none."""
        with lock(self.plan.address, self.plan.name):
            self.revive(own=True)

    def _mark(self, trial_id: int, key: str, value: Any) -> None:
        self.storage.set_trial_system_attr(trial_id, key, value)


def _deaths(trial: FrozenTrial) -> int:
    """Return how often a trial's process died since it last came further.

    Those that go on from their checkpoints are not the reason: others of their machine are, or its owner.
    """
    came_further = len(trial.intermediate_values) > trial.system_attrs.get(REPORTS, 0)
    return 0 if came_further else int(trial.system_attrs.get(DEATHS, 0))


def _pulse(trial: FrozenTrial) -> float:
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0  # by that machine's time zone
    return float(trial.system_attrs.get(PULSE, begun))
