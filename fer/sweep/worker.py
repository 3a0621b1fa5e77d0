"""A worker: takes trials from the study and trains them, one after the other, until none is left."""

import gc
import json
import math
import os
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zipfile import is_zipfile

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.trial import Trial, TrialState

from fer.errors import FerError
from fer.sweep.books import Books
from fer.sweep.compose import Composer, override, trial_folder
from fer.sweep.liveness import Pulse
from fer.sweep.plan import Plan
from fer.sweep.search import STEPS
from fer.sweep.space import Value
from fer.sweep.storage import away, patiently
from fer.sweep.wandb_runs import names_of
from fer.sweep.watch import SupersededError, TrialWatch
from fer.training import run as training
from fer.training import run_data
from fer.training.run_folder import read_record

MESSAGE_LENGTH = 500  # letters of an error that the study keeps; all of it is in error.txt


def work(plan: Plan, _: DictConfig) -> None:
    """Work until no trial waits; what a launcher starts as a job, in this process or elsewhere."""
    _share_machine(plan.share_of_cores, HydraConfig.get().job.num)
    is_joblib = HydraConfig.get().runtime.choices["hydra/launcher"] == "joblib"
    parent = os.getppid() if is_joblib and plan.workers > 1 else None  # one alone is the sweep's own process
    compose, books, shelf = Composer(plan.words), Books(plan), Shelf()
    while (taken := patiently(partial(books.take, idle=True))) is not None:
        Attempt(books, *taken).run(compose, shelf)
        if parent not in (None, os.getppid()):
            os._exit(1)  # the sweep's process was killed, and joblib's would go on without it
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class Shelf:
    """The data set of the last trial, kept for the next one if that asks for the same."""

    def __init__(self) -> None:
        self._key = ""
        self._data: run_data.Data | None = None

    def get(self, values: Mapping[str, Any]) -> run_data.Data | None:
        """Return what `fer.training.run_data.read_data` returns for a config."""
        own = {key: value for key, value in values["datamodule"].items() if not key.endswith("batch_size")}
        key = json.dumps(own, sort_keys=True)
        if key != self._key:
            self._data = None  # let go of one before the other is read
            self._data, self._key = run_data.read_data(values), key
        return self._data


@dataclass
class Ending:
    """How a trial ended: its state, its value where it has one, and notes for the study."""

    state: TrialState
    value: float | None
    notes: dict[str, Any]


class Attempt:
    """A trial at work in this process.

    Args:
        books: Of the sweep.
        trial: Of the study.
        chosen: Its value for each key of the config.
    """

    def __init__(self, books: Books, trial: Trial, chosen: Mapping[str, Value]) -> None:
        self.books, self.trial = books, trial
        self.chosen = chosen
        self.words = [override(key, value) for key, value in chosen.items()]
        self.folder = trial_folder(books.plan.folder, trial.number)
        self.watch = TrialWatch(trial, books)

    def run(self, compose: Composer, shelf: Shelf) -> None:
        """Train, and write down how it ended, whatever happens."""
        start = time.perf_counter()
        with Pulse(lambda: self.books.beat(self.trial)):
            try:
                ending = self._train(compose, shelf)
            except KeyboardInterrupt:
                self.books.tell(self.trial, TrialState.WAITING)
                raise
            except SupersededError:
                return
            except away():
                raise  # the trial waits again, or its pulse tells: it has not failed
            except Exception as error:
                ending = Ending(TrialState.FAIL, None, {"error": self._explain(error)})
        seconds = round(time.perf_counter() - start, 3)
        ending.notes |= {"words": self.words, "seconds": seconds, "share": round(self._share(), 4)}
        ending.notes |= {"watch_seconds": round(self.watch.seconds, 4)}
        patiently(lambda: self.books.tell(self.trial, ending.state, ending.value, ending.notes))
        if ending.state == TrialState.PRUNED and not self.books.plan.keep_pruned:
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _train(self, compose: Composer, shelf: Shelf) -> Ending:
        plan = self.books.plan
        values = compose.values({**self.chosen, "monitor": plan.objective})
        values["name"] = f"{plan.name}_{self.trial.number}"
        if (wandb := values["logger"]["wandb"]) is not None:
            wandb |= names_of(self.books, self.trial.number, self.chosen, wandb)
        if read_record(self.folder).get("status") == "pruned":  # and its process died before it could tell
            return Ending(TrialState.PRUNED, None, {})
        data = shelf.get(values)
        if goes_on := self._goes_on():  # perhaps where auto means another precision
            trainer = values["trainer"]
            trainer["precision"] = read_record(self.folder).get("precision", trainer["precision"])
        best = training.run(values, self.folder, goes_on, data, [self.watch], quiet=True)
        notes = {key: best[key] for key in ("epoch",) if key in best}
        if self.watch.ended_as == "pruned":
            return Ending(TrialState.PRUNED, None, notes)
        if plan.objective not in best:
            raise FerError(f"{plan.objective} was never measured. Let trainer.limit_val_batches be above 0.")
        if not math.isfinite(best[plan.objective]):
            raise FerError(f"{plan.objective} is no number at the best epoch ({best[plan.objective]}).")
        return Ending(TrialState.COMPLETE, best[plan.objective], notes)

    def _share(self) -> float:
        """Return how much of its schedule the trial has done, by the reports of a process that died too."""
        reports = patiently(lambda: self.books.storage.get_trial(self.trial._trial_id)).intermediate_values
        return max(self.watch.share, max(reports, default=0) / STEPS)

    def _goes_on(self) -> bool:
        """Return whether a process that died has left a checkpoint to go on from; clear away what is less."""
        last = self.folder / "checkpoints" / "last.ckpt"
        if last.is_file() and is_zipfile(last) and (self.folder / "run.json").is_file():
            return True
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return False

    def _explain(self, error: Exception) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        text = " ".join(str(error).split())[:MESSAGE_LENGTH]
        return text if isinstance(error, FerError) else f"{type(error).__name__}: {text}"


def _share_machine(workers: int, number: int) -> None:
    """Leave the other workers of this machine their part of the cores, and of several GPUs each its own."""
    mine = max(1, len(os.sched_getaffinity(0)) // workers)
    torch.set_num_threads(min(torch.get_num_threads(), mine))
    if workers > 1 and (count := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
