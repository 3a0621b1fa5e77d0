"""The process that starts a sweep: check the config, create the study, run workers until all trials end."""

import contextlib
import shlex
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, read_write
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fer.core.command_line import without_password
from fer.core.errors import FerError
from fer.core.threads import available_cores, share_cores
from fer.sweep.compose import Composer, full_overrides, proxy_keys, standalone_overrides, trial_folder
from fer.sweep.create import create_or_open
from fer.sweep.plan import Plan, SweepConfig, align_first_rung, make_plan
from fer.sweep.storage import with_retries
from fer.sweep.study import SweepStudy, repeat
from fer.sweep.validate import check_base, check_data, check_space, max_steps_per_epoch
from fer.sweep.wandb import tag_best
from fer.training.metrics import monitor_mode
from fer.training.overrides import check_additions, flatten, to_run_config

# Keys that may differ between the sessions of one sweep: paths and logging.
SESSION_KEYS = ("sweep", "output_dir", "name", "datamodule.path", "logger", "resume")
# Pause before the next launch while other launchers run trials, or after a failed launch.
WAIT_SECONDS = 2.0
# Default of sweep.jobs for workers on other machines, whose cores are not known here.
CLUSTER_JOBS = 4
# Failed launches in a row, without a trial that ended, after which the sweep stops.
MAX_IDLE_LAUNCHES = 3
# Interval at which the storage is polled for trials that have ended.
POLL_SECONDS = 1.0


def run_sweep(context: HydraContext, config: DictConfig, overrides: list[str]) -> None:
    """Run a sweep to its end.

    Args:
        context: Context of Hydra's sweeper.
        config: The composed config, including ``hydra``.
        overrides: The overrides of the command line.

    Raises:
        FerError: The sweep is not possible (raised before the first trial), or too many trials have failed.
    """
    HydraConfig.instance().set_config(config)
    plan, compose = _read_plan(config, overrides, context)
    base = compose()
    check_additions(overrides)
    run_config = to_run_config(base)
    if plan.objective != run_config.monitor:
        base = compose(f"monitor={plan.objective}")
        run_config = to_run_config(base)
    check_base(run_config, plan)
    check_space(plan.space, compose, plan.pruner.name != "none")
    for key in proxy_keys(overrides) & {parameter.key for parameter in plan.space}:
        raise FerError(
            f"sweep.space: expected no key that the proxy sets, got {key}. Remove it from the space, or "
            "remove the proxy."
        )
    commands = {
        "command": standalone_overrides(overrides, base),
        "full_command": full_overrides(overrides, plan.objective),
    }
    images = check_data(plan, compose) if _runs_locally(config) else None
    steps = max_steps_per_epoch(run_config, plan.space, images) if images else None
    plan = plan.replace(pruner=align_first_rung(plan.pruner, run_config.trainer, steps))
    HydraConfig.instance().set_config(config)
    _open_study(plan, base, commands, bool(config.sweep.resume) or config.sweep.storage is not None)
    _run_workers(plan, context, config)


def _read_plan(config: DictConfig, overrides: list[str], context: HydraContext) -> tuple[Plan, Composer]:
    for item in OverridesParser.create(config_loader=context.config_loader).parse_overrides(overrides):
        if item.is_sweep_override():
            raise FerError(
                f"{item.input_line}: expected one value, as a sweep takes its values from sweep.space. Put "
                f"them there, e.g. 'sweep.space={{{item.key_or_group}: [ … ]}}', or remove sweep= to run "
                "every combination."
            )
    node: Any = OmegaConf.to_container(config.sweep, resolve=True, throw_on_missing=False)
    if node["space"] == "???":
        raise FerError(
            "sweep.space: expected a search space, got none. Choose a sweep that has one, e.g. "
            "sweep=optimizers, or add one."
        )
    if isinstance(config.sweep.storage, str):
        # A launcher may write the config to a file.
        with read_write(config):
            config.sweep.storage = without_password(config.sweep.storage)
    options = SweepConfig.from_dict(node)
    workers, workers_per_machine = _workers(config)
    folder = Path(config.hydra.sweep.dir).resolve()
    return make_plan(options, folder, overrides, workers, workers_per_machine), Composer(overrides)


def _workers(config: DictConfig) -> tuple[int, int]:
    """Return the number of workers, and how many of them share the cores of a machine."""
    launcher, jobs = config.hydra.runtime.choices["hydra/launcher"], config.sweep.jobs
    if launcher == "basic":
        if jobs not in (None, 1):
            raise FerError(
                f"sweep.jobs: expected 1, got {jobs}. For several workers add hydra/launcher=joblib."
            )
        return 1, 1
    launcher_config = config.hydra.launcher
    is_local = _runs_locally(config)
    if launcher == "joblib" and jobs is None and launcher_config.n_jobs > 0:
        jobs = launcher_config.n_jobs
    jobs = jobs or (available_cores() if is_local else CLUSTER_JOBS)
    if launcher == "joblib":
        with read_write(launcher_config):
            launcher_config.n_jobs = jobs
    return jobs, jobs if is_local else 1


def _runs_locally(config: DictConfig) -> bool:
    """Return whether workers run on this machine, and so read the same data."""
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    is_local = launcher in ("basic", "joblib", "submitit_local")
    return is_local or (launcher == "ray" and not config.hydra.launcher.ray.init.address)


def _open_study(plan: Plan, base: DictConfig, commands: dict[str, list[str] | None], may_exist: bool) -> None:
    plan.folder.mkdir(parents=True, exist_ok=True)
    values = _without_paths({key: value for key, value in flatten(base).items() if _is_fixed(key)})
    try:
        sweep_study, exists = create_or_open(plan, values, commands, monitor_mode(plan.objective), may_exist)
    except FerError:
        if not any(plan.folder.iterdir()):
            plan.folder.rmdir()
        raise
    counts = sweep_study.counts()
    done = f", {counts.ended} of them done" if exists else ""
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
    print(f"sweep {plan.name}: {counts.total} trials{done}, {workers}; {plan.folder}", flush=True)


def _is_fixed(key: str) -> bool:
    """Return whether a key must be the same in every session: not in `SESSION_KEYS`, nor a parent of one."""
    return not any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in SESSION_KEYS)


def _without_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a config without the paths of ``datamodule.sources``."""
    sources = values.get("datamodule.sources")
    if isinstance(sources, list):
        values["datamodule.sources"] = [
            {key: value for key, value in source.items() if key != "path"} for source in sources
        ]
    return values


def _run_workers(plan: Plan, context: HydraContext, config: DictConfig) -> None:
    """Start workers until every trial has ended, including those that other launchers run."""
    sweep_study, idle_launches = SweepStudy(plan), 0
    with _progress(plan):
        while not with_retries(lambda: _is_over(sweep_study)):
            before = with_retries(sweep_study.counts)
            free = plan.workers - with_retries(sweep_study.busy_workers)
            failure = _launch(plan, context, config, free) if before.waiting and free > 0 else None
            with_retries(sweep_study.requeue_own)
            after = with_retries(sweep_study.counts)
            is_idle = failure and after.ended == before.ended and not after.running
            idle_launches = idle_launches + 1 if is_idle else 0
            if failure and idle_launches == MAX_IDLE_LAUNCHES:
                raise FerError(f"sweep {plan.name}: its workers stop before a trial ends. {failure}")
            if after.running or failure:
                time.sleep(WAIT_SECONDS)
    print_summary(sweep_study)


def _is_over(sweep_study: SweepStudy) -> bool:
    counts = sweep_study.counts()
    return not counts.running and (not counts.waiting or sweep_study.too_many_failed())


def _launch(plan: Plan, context: HydraContext, config: DictConfig, workers: int) -> str | None:
    """Start workers and wait for them; return the error of one that failed, None if none did."""
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=partial(work_as_job, plan), config=config
    )
    try:
        jobs = launcher.launch([plan.overrides] * workers, initial_job_idx=0)
    # An error of the launcher itself, e.g. when one of its processes was killed.
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    failures = [str(job._return_value) for job in jobs if job.status == JobStatus.FAILED]
    return failures[-1] if failures else None


def work_as_job(plan: Plan, config: DictConfig) -> None:
    """Run a worker as a job of a launcher; a module-level function, so that it can be pickled."""
    # Imports torch, which a process that only launches workers does not need.
    share_cores()
    from fer.sweep.worker import work

    work(plan, config)


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[None]:
    """Poll the storage every second, and print a line for each trial that has ended."""
    # Used in another thread, so it is not shared with the caller.
    sweep_study = SweepStudy(plan)
    printed = {trial.number for trial in sweep_study.trials() if trial.state.is_finished()}

    def print_new() -> None:
        trials = sweep_study.trials()
        new = [trial for trial in trials if trial.state.is_finished() and trial.number not in printed]
        for trial in sorted(new, key=_end_time):
            printed.add(trial.number)
            print(f"[{len(printed)}/{len(trials)}] {describe_trial(trial, plan.objective)}", flush=True)

    try:
        with repeat(print_new, POLL_SECONDS):
            yield
    finally:
        print_new()


def describe_trial(trial: FrozenTrial, objective: str) -> str:
    """Return a line with the outcome, duration and overrides of a trial that has ended."""
    notes = trial.user_attrs
    outcome = {
        TrialState.COMPLETE: f"{objective} {trial.value or 0.0:.4f}",
        TrialState.PRUNED: f"pruned at {notes.get('share', 0.0):.0%}, {objective} {trial.value or 0.0:.4f}",
    }.get(trial.state, f"failed: {notes.get('error', 'no error message was saved')}")
    seconds = f"  {notes['seconds']:.0f} s" if "seconds" in notes else ""
    overrides = " ".join(notes.get("words", [f"{name}={value}" for name, value in trial.params.items()]))
    return f"trial {trial.number}  {outcome}{seconds}  {overrides}"


def print_summary(sweep_study: SweepStudy) -> None:
    """Print the number of trials by outcome, and the best trial with its command; tag that trial in W&B.

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
        tag_best(sweep_study, best.number)
    if sweep_study.too_many_failed():
        failed = [trial for trial in sweep_study.trials() if trial.state == TrialState.FAIL]
        raise FerError(
            f"sweep {plan.name}: stopped because {counts.failed} of {counts.total} trials failed, more than "
            f"sweep.max_failed_share={plan.max_failed_share}. The last one: "
            f"{describe_trial(max(failed, key=_end_time), plan.objective)}. Fix the cause and start another "
            "sweep, or resume this one with sweep.resume=true and a larger sweep.max_failed_share."
        )


def _end_time(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
