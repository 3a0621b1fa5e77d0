"""The process that starts a sweep: checks it all, opens its books, starts workers, and sees it to its end."""

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, read_write

from fer import options
from fer.errors import FerError
from fer.monitor import mode_of
from fer.option_values import flat
from fer.sweep.address import without_password
from fer.sweep.base import check_base, check_data
from fer.sweep.compose import Composer, command_words, proxy_keys, whole_command
from fer.sweep.fit_space import check_fit
from fer.sweep.plan import Plan, first_look, make_plan
from fer.sweep.storage import patiently

if TYPE_CHECKING:
    from fer.sweep.books import Books

# What may differ between the sessions of one sweep: where things lie, and who is told.
MOVABLE = ("sweep", "output_dir", "name", "datamodule.path", "logger", "resume")
WAIT_SECONDS = 2.0
CLUSTER_JOBS = 4  # workers on machines that cannot be seen from here, where sweep.jobs does not say
IDLE_LAUNCHES = 3  # in a row without a trial done: workers die before they have one


def run_sweep(context: HydraContext, config: DictConfig, words: list[str]) -> None:
    """Run a sweep to its end.

    Args:
        context: Hydra's.
        config: As composed, Hydra's part included.
        words: The command line's.

    Raises:
        FerError: Something about it is wrong (before the first trial), or too many trials have failed.
    """
    HydraConfig.instance().set_config(config)
    plan, compose = _planned(config, words, context)
    base = compose()
    options.check(base)
    if plan.objective != base.monitor:
        base = compose(f"monitor={plan.objective}")
        options.check(base)
    check_base(base, plan)
    plan = replace(plan, pruner=first_look(plan.pruner, base.trainer))
    check_fit(plan.space, compose, plan.pruner["name"] != "none")
    for key in proxy_keys(words) & {parameter.key for parameter in plan.space}:
        raise FerError(f"sweep.space: {key} is what the proxy sets. Leave out the one or the other.")
    commands = {"command": command_words(words, base), "full_command": whole_command(words, plan.objective)}
    if _works_here(config):
        check_data(plan, compose)
    HydraConfig.instance().set_config(config)
    _open_books(plan, base, commands, bool(config.sweep.resume) or config.sweep.storage is not None)
    _see_to_its_end(plan, context, config)


def _planned(config: DictConfig, words: list[str], context: HydraContext) -> tuple[Plan, Composer]:
    for word in OverridesParser.create(config_loader=context.config_loader).parse_overrides(words):
        if word.is_sweep_override():
            raise FerError(
                f"{word.input_line}: a sweep takes its values from sweep.space. Put it there, e.g. "
                f"'sweep.space={{{word.key_or_group}: [ … ]}}', or leave out sweep= for every combination."
            )
    node: Any = OmegaConf.to_container(config.sweep, resolve=True, throw_on_missing=False)
    if node["space"] == "???":
        raise FerError(
            "sweep.space is not set. Choose a sweep that has one, e.g. sweep=optimizers, or add one."
        )
    if isinstance(config.sweep.storage, str):
        with read_write(config):  # a launcher may write it to a file
            config.sweep.storage = without_password(config.sweep.storage)
    workers, share = _workers(config)
    folder = Path(config.hydra.sweep.dir).resolve()
    return make_plan(node, folder, words, workers, share), Composer(words)


def _workers(config: DictConfig) -> tuple[int, int]:
    """Return how many workers to start, and by how many the cores of a machine are shared."""
    launcher, jobs = config.hydra.runtime.choices["hydra/launcher"], config.sweep.jobs
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
        raise FerError(f"sweep.jobs: expected null or a whole number of at least 1, got {jobs!r}.")
    if launcher == "basic":
        if jobs not in (None, 1):
            raise FerError(f"sweep.jobs={jobs}: for several at a time add hydra/launcher=joblib.")
        return 1, 1
    own = config.hydra.launcher
    here = _works_here(config)
    if launcher == "joblib" and jobs is None and own.n_jobs > 0:
        jobs = own.n_jobs
    jobs = jobs or (len(os.sched_getaffinity(0)) if here else CLUSTER_JOBS)
    if launcher == "joblib":
        with read_write(own):
            own.n_jobs = jobs
    return jobs, jobs if here else 1


def _works_here(config: DictConfig) -> bool:
    """Return whether workers are of this machine, and so see the same data."""
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    is_local = launcher in ("basic", "joblib", "submitit_local")
    return is_local or (launcher == "ray" and not config.hydra.launcher.ray.init.address)


def _open_books(plan: Plan, base: DictConfig, commands: dict[str, list[str] | None], may_exist: bool) -> None:
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        from fer.sweep.beginning import begin
    except ModuleNotFoundError as error:
        raise FerError(
            f"A sweep needs {error.name}, which is not installed: pip install 'fer-lightning[train,sweep]'."
        ) from error
    values = _without_places({key: value for key, value in flat(base).items() if _counts(key)})
    try:
        books, exists = begin(plan, values, commands, mode_of(plan.objective), may_exist)
    except FerError:
        if not any(plan.folder.iterdir()):
            plan.folder.rmdir()
        raise
    tally = books.tally()
    went = f", {tally.ended} of them done" if exists else ""
    workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
    print(f"sweep {plan.name}: {tally.all} trials{went}, {workers}; {plan.folder}", flush=True)


def _counts(key: str) -> bool:
    """Return whether a key is the same in every session: none of `MOVABLE`, nor a node that holds one."""
    return not any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in MOVABLE)


def _without_places(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a config without where the sources of ``datamodule=concat`` lie."""
    sources = values.get("datamodule.sources")
    if isinstance(sources, list):
        plain = [{key: value for key, value in one.items() if key != "path"} for one in sources]
        values["datamodule.sources"] = plain
    return values


def _see_to_its_end(plan: Plan, context: HydraContext, config: DictConfig) -> None:
    """Start workers until every trial has ended, those of other launchers included."""
    from fer.sweep.books import Books
    from fer.sweep.progress import Progress, conclude

    books, idle = Books(plan), 0
    with Progress(plan):
        while not patiently(lambda: _is_over(books)):
            before, free = patiently(books.tally), plan.workers - patiently(books.busy)
            trouble = _launch(plan, context, config, free) if before.waiting and free > 0 else None
            patiently(books.revive_own)
            after = patiently(books.tally)
            idle = idle + 1 if trouble and after.ended == before.ended and not after.running else 0
            if trouble and idle == IDLE_LAUNCHES:
                raise FerError(f"sweep {plan.name}: its workers end before they have done a trial. {trouble}")
            if after.running or trouble:
                time.sleep(WAIT_SECONDS)
    conclude(books)


def _is_over(books: "Books") -> bool:
    tally = books.tally()
    return not tally.running and (not tally.waiting or books.too_many_failed())


def _launch(plan: Plan, context: HydraContext, config: DictConfig, workers: int) -> str | None:
    """Start workers and wait for them; return what went wrong with one, if anything did."""
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=partial(work_as_job, plan), config=config
    )
    try:
        jobs = launcher.launch([plan.words] * workers, initial_job_idx=0)
    except Exception as error:  # a launcher's own, as where one of its processes was killed
        return f"{type(error).__name__}: {error}"
    failures = [str(job._return_value) for job in jobs if job.status == JobStatus.FAILED]
    return failures[-1] if failures else None


def work_as_job(plan: Plan, config: DictConfig) -> None:
    """Do a worker's work as a job of a launcher, in whichever process that starts it."""
    from fer.sweep.worker import work

    work(plan, config)
