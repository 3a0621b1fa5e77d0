"""Starting the workers of a sweep with a Hydra launcher, until every trial has ended."""

import time
from functools import partial

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from fer.core.errors import FerError
from fer.core.threads import available_cores, share_cores
from fer.sweep.outcome import progress
from fer.sweep.plan import Plan
from fer.sweep.storage import with_retries
from fer.sweep.study import SweepStudy

# Pause before the next launch while other launchers run trials, or after a failed launch.
WAIT_SECONDS = 2.0
# Default of sweep.jobs for workers on other machines, whose cores are not known here.
CLUSTER_JOBS = 4
# Failed launches in a row, without a trial that ended, after which the sweep stops.
MAX_IDLE_LAUNCHES = 3


def count_workers(config: DictConfig) -> tuple[int, int]:
    """Return the number of workers, and how many of them share the cores of a machine.

    Raises:
        FerError: Several are wanted, but the launcher runs one.
    """
    launcher, jobs = config.hydra.runtime.choices["hydra/launcher"], config.sweep.jobs
    if launcher == "basic":
        if jobs not in (None, 1):
            raise FerError(
                f"sweep.jobs: expected 1, got {jobs}. For several workers add hydra/launcher=joblib."
            )
        return 1, 1
    launcher_config = config.hydra.launcher
    is_local = runs_locally(config)
    if launcher == "joblib" and jobs is None and launcher_config.n_jobs > 0:
        jobs = launcher_config.n_jobs
    jobs = jobs or (available_cores() if is_local else CLUSTER_JOBS)
    if launcher == "joblib":
        with read_write(launcher_config):
            launcher_config.n_jobs = jobs
    return jobs, jobs if is_local else 1


def runs_locally(config: DictConfig) -> bool:
    """Return whether workers run on this machine, and so read the same data."""
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    is_local = launcher in ("basic", "joblib", "submitit_local")
    return is_local or (launcher == "ray" and not config.hydra.launcher.ray.init.address)


def run_workers(plan: Plan, context: HydraContext, config: DictConfig) -> SweepStudy:
    """Start workers until every trial has ended, including those that other launchers run.

    Raises:
        FerError: The workers stop before a trial ends.
    """
    sweep_study, idle_launches = SweepStudy(plan), 0
    with progress(plan):
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
    return sweep_study


def _is_over(sweep_study: SweepStudy) -> bool:
    counts = sweep_study.counts()
    return not counts.running and (not counts.waiting or sweep_study.too_many_failed())


def _launch(plan: Plan, context: HydraContext, config: DictConfig, workers: int) -> str | None:
    """Start workers and wait for them; return the error of one that failed, None if none did."""
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=partial(work_as_job, plan), config=config
    )
    try:
        jobs = launcher.launch([plan.launch_overrides] * workers, initial_job_idx=0)
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
