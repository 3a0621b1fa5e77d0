"""The process that starts a sweep: check the config, create the study, run workers until all trials end.

A sweep is a search (``sweep=NAME``), whose trials take their values from a space, or a plain grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from fer.core.command_line import without_password
from fer.core.errors import FerError
from fer.core.names import artifact_name
from fer.core.text import counted
from fer.sweep.compose import (
    Composer,
    full_overrides,
    proxy_keys,
    standalone_overrides,
    without_sweep_options,
)
from fer.sweep.create import create_or_open
from fer.sweep.launch import count_workers, run_workers, runs_locally
from fer.sweep.outcome import print_summary
from fer.sweep.plan import Plan, SweepConfig, align_first_rung, make_plan
from fer.sweep.trials import GridTrial, check_trials, check_trials_data, plan_trials
from fer.sweep.validate import check_base, check_data, check_space, max_steps_per_epoch
from fer.training.grid import Grid, parse_grid
from fer.training.multirun import is_moved, moved_lines, resume_command, save_overrides
from fer.training.overrides import check_additions, flatten, hydra_overrides, to_run_config

# Keys that may differ between the sessions of one sweep: paths and logging.
SESSION_KEYS = ("sweep", "output_dir", "name", "datamodule.path", "logger", "resume")


@dataclass(frozen=True)
class CheckedSweep:
    """A sweep that can start.

    Attributes:
        plan: Its plan.
        base: Flat key -> value of what all trials share.
        commands: See `fer.sweep.create.create_or_open`.
        trials: The trials of a grid.
    """

    plan: Plan
    base: dict[str, Any]
    commands: dict[str, list[str] | None]
    trials: Sequence[GridTrial] = ()


def run_sweep(context: HydraContext, config: DictConfig, overrides: list[str]) -> None:
    """Run a sweep to its end.

    Args:
        context: Context of Hydra's sweeper.
        config: The composed config, including ``hydra``.
        overrides: The overrides of the command line.

    Raises:
        FerError: The sweep is not possible (raised before the first trial), or too many trials have failed.
    """
    if config.get("sweep") is None:
        config = _with_grid_options(context, config, overrides)
    HydraConfig.instance().set_config(config)
    grid = _read_grid(config, overrides)
    is_search = "space" in config.sweep
    sweep = _check_search(config, overrides, grid) if is_search else _check_grid(config, grid)
    HydraConfig.instance().set_config(config)
    _open_study(sweep, config)
    try:
        sweep_study = run_workers(sweep.plan, context, config)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"Resume with: {resume_command(sweep.plan.folder)}") from error
    print_summary(sweep_study)


def _with_grid_options(context: HydraContext, config: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the config with the options of a grid, for ``-m`` with neither a sweep nor several values."""
    lines = [*hydra_overrides(config), *overrides, "sweep=grid"]
    changed = context.config_loader.load_configuration("train", lines, RunMode.MULTIRUN)
    OmegaConf.copy_cache(from_config=config, to_config=changed)
    return changed


def _read_grid(config: DictConfig, overrides: list[str]) -> Grid:
    """Return the overrides that trials share and those with several values.

    The latter are on the command line, where `fer.training.multirun` moves them to ``sweep.grid``, or in
    ``hydra.sweeper.params``, whose keys the command line overrides.
    """
    rest = [item for item in overrides if not is_moved(item)]
    params = config.hydra.sweeper.get("params") or {}
    return parse_grid([*(f"{key}={value}" for key, value in params.items()), *rest, *moved_lines(overrides)])


def _sweep_config(config: DictConfig) -> SweepConfig:
    if isinstance(config.sweep.storage, str):
        # A launcher may write the config to a file.
        with read_write(config):
            config.sweep.storage = without_password(config.sweep.storage)
    node: Any = OmegaConf.to_container(config.sweep, resolve=True, throw_on_missing=False)
    return SweepConfig.from_dict({key: value for key, value in node.items() if key != "grid"})


def _check_search(config: DictConfig, overrides: list[str], grid: Grid) -> CheckedSweep:
    """Return a search, after its space and its data have been checked."""
    for key, words in grid.values.items():
        values = ",".join(word.partition("=")[2] for word in words)
        raise FerError(
            f"{key}={values}: expected one value, as a sweep takes its values from sweep.space. Put them "
            f"there, e.g. 'sweep.space={{{key}: [ … ]}}', or remove sweep= to run every combination."
        )
    options = _sweep_config(config)
    if options.space == "???":
        raise FerError(
            "sweep.space: expected a search space, got none. Choose a sweep that has one, e.g. "
            "sweep=optimizers, or add one."
        )
    plan = make_plan(options, Path(config.hydra.sweep.dir).resolve(), overrides, *count_workers(config))
    compose = Composer(overrides)
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
    command = standalone_overrides(overrides, base)
    commands = {"command": command, "full_command": full_overrides(overrides, plan.objective)}
    images = check_data(plan, compose) if runs_locally(config) else None
    steps = max_steps_per_epoch(run_config, plan.space, images) if images else None
    pruner = align_first_rung(plan.pruner, run_config.trainer, steps)
    fixed = _without_paths({key: value for key, value in flatten(base).items() if _is_fixed(key)})
    return CheckedSweep(plan.replace(pruner=pruner, command=command), fixed, commands)


def _check_grid(config: DictConfig, grid: Grid) -> CheckedSweep:
    """Return a grid, after each of its trials has been checked as what it composes to."""
    options, folder = _sweep_config(config), Path(config.hydra.sweep.dir).resolve()
    sets_name = any(item.startswith("sweep.name=") for item in grid.fixed)
    sets_folder = any(item.startswith("hydra.sweep.dir=") for item in hydra_overrides(config))
    if options.resume and not (sets_name or sets_folder):
        raise FerError(
            "sweep.resume: expected the folder of a grid, got true. Give it: sweep.resume=FOLDER, or "
            "hydra.sweep.dir=FOLDER."
        )
    if sets_folder and not sets_name:
        options = options.replace(name=artifact_name(folder.name).lstrip("._-") or "grid")
    trials = plan_trials(grid, Composer(grid.fixed))
    workers, per_machine = (min(number, len(trials)) for number in count_workers(config))
    plan = make_plan(options, folder, grid.fixed, workers, per_machine)
    check_trials(trials, plan)
    if runs_locally(config):
        check_trials_data(trials)
    if not (sets_name or sets_folder):
        plan = _in_free_folder(plan)
    command = without_sweep_options(grid.fixed)
    # hydra.sweep.subdir is for the folders of the trials, not for one of each worker.
    launched = [*grid.fixed, *trials[0].words, "hydra.sweep.subdir=."]
    plan = plan.replace(command=command, launch_overrides=launched)
    keys = {item.partition("=")[0]: item.partition("=")[2] for item in command}
    keys = {key: value for key, value in keys.items() if _is_fixed(key)}
    base: dict[str, Any] = {"seed": trials[0].config.seed, **keys}
    if "seed" in grid.values:
        del base["seed"]
    print(f"grid     {grid.size()}" if grid.values else "grid     one trial")
    return CheckedSweep(plan, base, {"command": command}, trials)


def _in_free_folder(plan: Plan) -> Plan:
    """Create the folder of a grid without a name; another may have started in the same second."""
    for number in count(1):
        suffix = "" if number == 1 else f"-{number}"
        folder = plan.folder.with_name(plan.folder.name + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        address = plan.address.replace(str(plan.folder), str(folder))
        return plan.replace(folder=folder, name=plan.name + suffix, address=address)
    raise AssertionError("unreachable")


def _open_study(sweep: CheckedSweep, config: DictConfig) -> None:
    plan = sweep.plan
    may_exist = bool(plan.resume) or plan.storage is not None
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        sweep_study, exists = create_or_open(plan, sweep.base, sweep.commands, may_exist, sweep.trials)
    except FerError:
        if not any(plan.folder.iterdir()):
            plan.folder.rmdir()
        raise
    save_overrides(plan.folder, config, plan.name)
    counts = sweep_study.counts()
    done = f", {counts.ended} of them done" if exists else ""
    workers = counted(plan.workers, "worker")
    print(f"sweep {plan.name}: {counted(counts.total, 'trial')}{done}, {workers}; {plan.folder}")
    print(f"If it is stopped: {resume_command(plan.folder)}", flush=True)


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
