"""The Optuna study of a sweep, shared by all its workers.

All trials are enqueued in the storage when the sweep starts. A worker claims a waiting trial. If its process
dies, the trial waits again with the same number and parameters. So no trial is lost and none is done twice.
Every change is made under one lock.
"""

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from fer.sweep.objectives import with_first_value
from fer.sweep.plan import Plan, build_pruner, build_sampler
from fer.sweep.space import Value, suggest
from fer.sweep.storage import lock, open_storage

# Names of trial attributes in the storage. REPORTS: number of reports when the trial's process last died.
OWNER, HEARTBEAT, SESSION = "fer:owner", "fer:pulse", "fer:session"
PROCESS_DEATHS, REPORTS = "fer:deaths", "fer:reports"
# A trial whose process died this often without any progress is probably the cause itself, so it fails.
MAX_PROCESS_DEATHS = 3
HEARTBEAT_SECONDS = 10.0
# Time without a heartbeat after which a process of another machine counts as dead.
GRACE_SECONDS = 60.0

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class TrialCounts:
    """Number of trials in each state."""

    finished: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def ended(self) -> int:
        """Return the number of finished, pruned and failed trials."""
        return self.finished + self.pruned + self.failed

    @property
    def total(self) -> int:
        """Return the number of all trials."""
        return self.ended + self.running + self.waiting


class SweepStudy:
    """A sweep's Optuna study with the operations of its workers.

    Args:
        plan: Plan of the sweep.
        storage: Its storage; opened here if None.
    """

    def __init__(self, plan: Plan, storage: BaseStorage | None = None) -> None:
        self.plan = plan
        self.storage = storage or open_storage(plan.address)
        self.study: Study = optuna.load_study(
            study_name=plan.name, storage=self.storage, pruner=build_pruner(plan.pruner),
            sampler=build_sampler("random", plan.seed, 0),
        )  # fmt: skip
        # Trial id -> its last heartbeat, and when it was first seen, by the monotonic clock of this process.
        self._heartbeats: dict[int, tuple[Any, float]] = {}

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number; the value of each is that of the first objective."""
        return [with_first_value(trial) for trial in self.study.get_trials(deepcopy=False)]

    def counts(self) -> TrialCounts:
        """Return the number of trials in each state."""
        states = [trial.state for trial in self.trials()]
        order = (
            TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING,
        )  # fmt: skip
        return TrialCounts(*(states.count(state) for state in order))

    def too_many_failed(self) -> bool:
        """Return whether more trials than ``sweep.max_failed_share`` have failed, and ``min_failed``."""
        counts, plan = self.counts(), self.plan
        return counts.failed >= plan.min_failed and counts.failed > plan.max_failed_share * counts.total

    def worst_value(self) -> float:
        """Return the value of a finished trial whose objective was never measured."""
        return -math.inf * self.sign

    @property
    def sign(self) -> int:
        """Return 1 if a higher value of the first objective is better, else -1."""
        return 1 if self.study.directions[0] == StudyDirection.MAXIMIZE else -1

    def busy_workers(self) -> int:
        """Return how many workers of this session are training a trial."""
        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        return sum(trial.system_attrs.get(SESSION) == self.plan.session for trial in running)

    def claim(self, idle: bool = False) -> tuple[Trial, dict[str, Value]] | None:
        """Claim a waiting trial for this process; None if none waits or too many have failed.

        Args:
            idle: Whether this process trains nothing. If it owns a trial anyway, because the storage failed
                during an earlier claim, that trial is requeued first.

        Returns:
            The trial, and its value for each key of the config.
        """
        with lock(self.plan.address, self.plan.name):
            self.requeue_abandoned(include_own=idle)
            waiting = [trial.number for trial in self.trials() if trial.state == TrialState.WAITING]
            if not waiting or self.too_many_failed():
                return None
            self.study.sampler = build_sampler(self.plan.sampler, self.plan.seed, waiting[0])
            trial = self.study.ask()
            self._set_attribute(trial._trial_id, OWNER, this_process())
            self._set_attribute(trial._trial_id, SESSION, self.plan.session)
            self.send_heartbeat(trial)
            return trial, suggest(trial, self.plan.space)

    def send_heartbeat(self, trial: Trial) -> None:
        """Record that the process of a trial is alive; others only look whether the value changes."""
        self._set_attribute(trial._trial_id, HEARTBEAT, time.time())

    def owns(self, trial: Trial) -> bool:
        """Return whether a trial still belongs to this process and was not given to another one."""
        stored = self.storage.get_trial(trial._trial_id)
        return stored.state == TrialState.RUNNING and stored.system_attrs.get(OWNER) == this_process()

    def tell(
        self,
        trial: Trial,
        state: TrialState,
        value: float | list[float] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store how a trial ended, unless the trial now belongs to another process.

        Args:
            trial: The trial.
            state: Complete, pruned or failed; waiting to requeue it.
            value: The objective of a complete trial, or all objectives.
            notes: User attributes to set.

        Returns:
            Whether it was stored.
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

    def requeue_abandoned(self, include_own: bool = False) -> None:
        """Requeue the trials of dead processes, and fail those whose process died too often.

        The caller holds the lock.

        Args:
            include_own: Also requeue the trials of this process, whose worker has stopped without storing a
                result. This does not count as a process death.
        """
        for trial in self.trials():
            owner = trial.system_attrs.get(OWNER)
            is_own = include_own and owner == this_process()
            if trial.state == TrialState.RUNNING and (is_own or is_dead(owner, self._silence(trial))):
                deaths = _process_deaths(trial) + (not is_own)
                self._set_attribute(trial._trial_id, PROCESS_DEATHS, deaths)
                self._set_attribute(trial._trial_id, REPORTS, len(trial.intermediate_values))
                if deaths < MAX_PROCESS_DEATHS:
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                    continue
                message = f"its process died {deaths} times, perhaps killed for the memory that it used"
                self.storage.set_trial_user_attr(trial._trial_id, "error", message)
                self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _silence(self, trial: FrozenTrial) -> float:
        """Return for how many seconds this process has seen no new heartbeat of a trial.

        The clocks of two machines may differ, so the time in a heartbeat is not compared with the time here.
        """
        heartbeat, now = trial.system_attrs.get(HEARTBEAT), time.monotonic()
        last, since = self._heartbeats.get(trial._trial_id, (heartbeat, now))
        self._heartbeats[trial._trial_id] = (heartbeat, since if last == heartbeat else now)
        return now - self._heartbeats[trial._trial_id][1]

    def requeue_own(self) -> None:
        """Requeue the trials that this process owns; its worker must not be training."""
        with lock(self.plan.address, self.plan.name):
            self.requeue_abandoned(include_own=True)

    def _set_attribute(self, trial_id: int, key: str, value: Any) -> None:
        self.storage.set_trial_system_attr(trial_id, key, value)


def _process_deaths(trial: FrozenTrial) -> int:
    """Return how often the trial's process died since the trial last made progress.

    A trial that makes progress between the deaths is probably not their cause.
    """
    progressed = len(trial.intermediate_values) > trial.system_attrs.get(REPORTS, 0)
    return 0 if progressed else int(trial.system_attrs.get(PROCESS_DEATHS, 0))


def this_process() -> dict[str, Any]:
    """Return the identity of this process across machines, as it is stored with a trial.

    ``place`` is the machine's boot and the process namespace, ``host`` its name, ``pid`` and ``start`` the
    process number and start time.
    """
    return {
        "place": _namespace(), "host": socket.gethostname(), "pid": os.getpid(),
        "start": _start_time(os.getpid()),
    }  # fmt: skip


def is_dead(owner: dict[str, Any] | None, silence: float) -> bool:
    """Return whether the process that owned a trial is dead.

    Args:
        owner: `this_process` of that process; None if it was killed before it stored that.
        silence: Seconds for which no new heartbeat was seen; it counts for processes of other machines.
    """
    namespace = _namespace()
    if owner is not None and namespace is not None and owner["place"] == namespace:
        return owner["start"] is None or owner["start"] != _start_time(owner["pid"])
    return silence > GRACE_SECONDS


@contextlib.contextmanager
def repeat(call: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function every so many seconds from a thread.

    The storage may be unreachable for a while, so errors are ignored; the next call tries again.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            with contextlib.suppress(Exception):
                call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _namespace() -> str | None:
    """Return the kernel's boot id and the process namespace; None on a system without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it does not exist or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
