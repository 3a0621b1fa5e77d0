"""A worker: claims trials from the study and trains them one after the other until none is left."""

import gc
import hashlib
import json
import math
import os
import shlex
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.trial import Trial, TrialState
from pytorch_lightning.callbacks import Callback

from fer.core.errors import FerError
from fer.core.threads import available_cores
from fer.data.config import DataConfig
from fer.data.datamodule import RunData, read_data
from fer.export.cost import measure_cost
from fer.sweep.compose import Composer, can_resume, format_override, trial_folder
from fer.sweep.objectives import COSTS
from fer.sweep.plan import SCHEDULE_STEPS, Plan, step_at
from fer.sweep.space import Value
from fer.sweep.storage import storage_errors, with_retries
from fer.sweep.study import HEARTBEAT_SECONDS, SweepStudy, repeat
from fer.sweep.wandb import trial_wandb_config
from fer.training import run as training
from fer.training.config import RunConfig
from fer.training.grid import override_values
from fer.training.metrics import is_known_after_validation
from fer.training.overrides import to_run_config
from fer.training.run_record import read_record

# Characters of an error that the study stores; error.txt has the complete text.
MAX_MESSAGE_LENGTH = 500


@dataclass
class TrialResult:
    """How a trial ended: its state, its objective if it is complete, and user attributes for the study."""

    state: TrialState
    value: float | list[float] | None
    notes: dict[str, Any]


def work(plan: Plan, _: DictConfig) -> None:
    """Train trials until none waits. A launcher runs this as a job, in this process or in another."""
    _divide_machine(plan.workers_per_machine, HydraConfig.get().job.num)
    is_joblib = HydraConfig.get().runtime.choices["hydra/launcher"] == "joblib"
    # joblib runs a single worker in the process of the sweep, whose parent does not matter.
    parent = os.getppid() if is_joblib and plan.workers > 1 else None
    compose, sweep_study, cache = Composer(plan.overrides), SweepStudy(plan), DatasetCache()
    try:
        while (claimed := with_retries(partial(sweep_study.claim, idle=True))) is not None:
            TrialRun(sweep_study, *claimed).run(compose, cache)
            if parent not in (None, os.getppid()):
                # The process of the sweep was killed; joblib's worker would continue without it.
                os._exit(1)
            gc.collect()
            if not gc.get_freeze_count():
                # Later collections skip what all trials share, mostly modules, for which they took 0.3 s.
                gc.freeze()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    finally:
        gc.unfreeze()


class DatasetCache:
    """The data set of the last trial, kept in memory for the next one if that uses the same."""

    def __init__(self) -> None:
        self._key = ""
        self._data: RunData | None = None

    def get(self, config: DataConfig) -> RunData:
        """Return what `fer.data.datamodule.read_data` returns for a config."""
        node = {key: value for key, value in config.to_dict().items() if not key.endswith("batch_size")}
        key = json.dumps(node, sort_keys=True)
        if self._data is None or key != self._key:
            # The old data is freed before the next is read.
            self._data = None
            self._data, self._key = read_data(config), key
        return self._data


class TrialRun:
    """The training of one trial in this process; ``parameters`` has its value for each key of the config.

    The parameters of a trial of a grid are its overrides, which the study has.
    """

    def __init__(self, sweep_study: SweepStudy, trial: Trial, parameters: Mapping[str, Value]) -> None:
        self.sweep_study, self.trial = sweep_study, trial
        if sweep_study.plan.is_grid:
            self.overrides = list(trial.user_attrs["words"])
            self.parameters: Mapping[str, Any] = override_values(self.overrides)
        else:
            self.overrides = [format_override(key, value) for key, value in parameters.items()]
            self.parameters = parameters
        self.folder = trial_folder(sweep_study.plan.folder, trial)
        self.callback = TrialCallback(trial, sweep_study)

    def run(self, compose: Composer, cache: DatasetCache) -> None:
        """Train, and store the result in the study, also if the trial failed."""
        start = time.perf_counter()
        with repeat(partial(self.sweep_study.send_heartbeat, self.trial), HEARTBEAT_SECONDS):
            try:
                result = self._train(compose, cache)
            except KeyboardInterrupt:
                self.sweep_study.tell(self.trial, TrialState.WAITING)
                raise
            except SupersededError:
                return
            except storage_errors():
                # The trial has not failed: it is requeued, here or when its heartbeats are missed.
                raise
            except Exception as error:
                result = TrialResult(TrialState.FAIL, None, {"error": self._save_error(error)})
        seconds = round(time.perf_counter() - start, 3)
        result.notes |= {"words": self.overrides, "seconds": seconds, "share": round(self._fraction(), 4)}
        result.notes |= {"watch_seconds": round(self.callback.seconds, 4)}
        with_retries(lambda: self.sweep_study.tell(self.trial, result.state, result.value, result.notes))
        if result.state == TrialState.PRUNED and not self.sweep_study.plan.keep_pruned:
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _train(self, compose: Composer, cache: DatasetCache) -> TrialResult:
        plan, config = self.sweep_study.plan, self._config(compose)
        # The trial was pruned, but its process died before it could store that in the study.
        if read_record(self.folder).status == "pruned":
            return TrialResult(TrialState.PRUNED, None, {})
        data, costs = cache.get(config.data), dict[str, float]()
        if plan.objectives or plan.constraints.limits():
            costs = self._costs(config, data)
            if any(value > 0 for value in plan.constraints.excess(costs).values()):
                return TrialResult(TrialState.PRUNED, None, {})
        if (wandb := config.logger.wandb) is not None:
            wandb = trial_wandb_config(self.sweep_study, self.trial, self.parameters, wandb, costs)
            config = config.replace(logger=config.logger.replace(wandb=wandb))
        if resumes := can_resume(self.folder):
            # precision=auto may select another precision on this machine.
            precision = read_record(self.folder).precision or config.trainer.precision
            config = config.replace(trainer=config.trainer.replace(precision=precision))
        command = shlex.join(["fer-train", *plan.command, *self.overrides])
        options: dict[str, Any] = {"quiet": True, "command": command, "plots": plan.is_grid}
        best = training.run(config, self.folder, resumes, data, [self.callback], **options)
        notes = {key: best[key] for key in ("epoch",) if key in best}
        if self.callback.final_status == "pruned":
            return TrialResult(TrialState.PRUNED, None, notes)
        return self._result(best, costs, notes)

    def _result(
        self, best: Mapping[str, float], costs: Mapping[str, float], notes: dict[str, Any]
    ) -> TrialResult:
        """Return the result of a complete training with all objectives.

        Args:
            best: Metrics of its best epoch.
            costs: What its network costs in use, if that was measured.
            notes: User attributes for the study.
        """
        plan, measured = self.sweep_study.plan, {**costs, **best}
        if plan.objective not in best and plan.is_grid:
            return TrialResult(
                TrialState.COMPLETE, self.sweep_study.worst_value(), {**notes, "unmeasured": True}
            )
        for name in plan.all_objectives:
            if name not in measured:
                raise FerError(
                    f"{name}: expected a measured value, got none. Set trainer.limit_val_batches above 0."
                )
            if not math.isfinite(measured[name]):
                raise FerError(f"{name}: expected a finite value at the best epoch, got {measured[name]}.")
        values = {name: measured[name] for name in plan.all_objectives}
        if len(values) == 1:
            return TrialResult(TrialState.COMPLETE, values[plan.objective], notes)
        return TrialResult(TrialState.COMPLETE, list(values.values()), {**notes, "objectives": values})

    def _costs(self, config: RunConfig, data: RunData) -> dict[str, float]:
        """Return what the network costs in use, and store it and its limits with the trial."""
        costs = network_costs(self.sweep_study, config, data)
        self.trial.set_user_attr("costs", costs)
        known = self.sweep_study.storage.get_trial(self.trial._trial_id).constraints
        for name, excess in self.sweep_study.plan.constraints.excess(costs).items():
            # A resumed trial has them already.
            if name not in known:
                self.trial.set_constraint(name, excess)
        return costs

    def _config(self, compose: Composer) -> RunConfig:
        plan = self.sweep_study.plan
        if plan.is_grid:
            config = to_run_config(compose.trial_config(self.overrides))
            return config.replace(name=self.trial.user_attrs["name"])
        config = compose.run_config({**self.parameters, "monitor": plan.objective})
        return config.replace(name=f"{plan.name}_{self.trial.number}")

    def _fraction(self) -> float:
        """Return the fraction of the schedule that is done, including reports of a process that died."""
        stored = with_retries(lambda: self.sweep_study.storage.get_trial(self.trial._trial_id))
        return max(self.callback.fraction, max(stored.intermediate_values, default=0) / SCHEDULE_STEPS)

    def _save_error(self, error: Exception) -> str:
        """Write the traceback to ``error.txt``; return a message for the study."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        text = " ".join(str(error).split())[:MAX_MESSAGE_LENGTH]
        return text if isinstance(error, FerError) else f"{type(error).__name__}: {text}"


def network_costs(sweep_study: SweepStudy, config: RunConfig, data: RunData) -> dict[str, float]:
    """Return the value of each of `COSTS` for the network of a config.

    The study keeps it, so that all workers use the same value for the same architecture, also when the
    machine is busy at the time.

    Args:
        sweep_study: The sweep.
        config: The config of a trial.
        data: Its data set.

    Raises:
        FerError: The network cannot be exported.
    """
    shape, classes = data.dataset.images.shape, len(data.dataset.labels)
    network = [config.model.to_dict(), config.attention.to_dict(), shape[1:], classes]
    text = json.dumps(network, sort_keys=True, default=str)
    attribute = f"cost:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    known = with_retries(lambda: sweep_study.study.user_attrs.get(attribute))
    if known is None:
        cost = measure_cost(config.model, config.attention, classes, shape[-1], shape[1])
        known = {COSTS["export_mb"]: cost.megabytes, COSTS["export_ms"]: cost.milliseconds}
        known = {name: round(value, 4) for name, value in known.items()}
        with_retries(lambda: sweep_study.study.set_user_attr(attribute, known))
    return dict(known)


def _divide_machine(workers: int, number: int) -> None:
    """Limit this worker to its part of the machine's cores, and to one of several GPUs."""
    cores = max(1, available_cores() // workers)
    torch.set_num_threads(min(torch.get_num_threads(), cores))
    if workers > 1 and (count := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]


class SupersededError(Exception):
    """The trial was given to another process, because this one missed its heartbeats for too long."""


class TrialCallback(Callback):
    """Report each validation at its fraction of the schedule, and stop the training if it is pruned.

    Attributes:
        final_status: ``"pruned"`` once the pruner has stopped the trial; None until then.
        fraction: Fraction of the schedule at the last report.
        seconds: Time spent on reports and pruning decisions, which is part of the training time.
    """

    def __init__(self, trial: Trial, sweep_study: SweepStudy) -> None:
        self.trial, self.sweep_study = trial, sweep_study
        self.final_status: str | None = None
        self.fraction = 0.0
        self.seconds = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report, and ask the pruner; not at the end of the schedule, where pruning saves nothing."""
        if trainer.sanity_checking:
            return
        start = time.perf_counter()
        try:
            with_retries(lambda: self._report(trainer))
        finally:
            self.seconds += time.perf_counter() - start

    def _report(self, trainer: pl.Trainer) -> None:
        if not self.sweep_study.owns(self.trial):
            raise SupersededError
        self.fraction = min(1.0, trainer.global_step / trainer.estimated_stepping_batches)
        step = step_at(self.fraction)
        stored = self.sweep_study.storage.get_trial(self.trial._trial_id)
        value = trainer.callback_metrics.get(self.sweep_study.plan.objective)
        if self.sweep_study.plan.objectives is not None:
            # Optuna neither stores reports nor prunes with several objectives.
            return
        # A training metric would be that of the epoch before.
        is_late = is_known_after_validation(self.sweep_study.plan.objective)
        if step not in stored.intermediate_values and value is not None and not is_late:
            self.trial.report(float(value), step)
        if step < SCHEDULE_STEPS and self.trial.should_prune():
            self.final_status = "pruned"
            trainer.should_stop = True
