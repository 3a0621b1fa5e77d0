"""A sweep in W&B: trials in one group with their parameters, and a tag on the best one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import BaseTrial, FrozenTrial

from fer.sweep.compose import trial_folder
from fer.sweep.study import SweepStudy
from fer.training.config import WandbConfig
from fer.training.grid import short_words
from fer.training.loggers import finish_wandb, start_wandb, wandb_settings, warn_on_failure
from fer.training.metrics import best_name
from fer.training.run_folder import read_config
from fer.training.run_record import read_record

# Study attribute: number of the trial that is tagged as the best.
BEST_ATTRIBUTE = "wandb_best"
# Study attribute: numbers of the trials that are tagged as on the Pareto front, without the best one.
FRONT_ATTRIBUTE = "wandb_front"
# Tag of every trial. W&B removes a run's tag only by replacing the list with a non-empty one, so there must
# be another tag besides "best".
TAG = "sweep"


def trial_wandb_config(
    sweep_study: SweepStudy,
    trial: BaseTrial | FrozenTrial,
    parameters: Mapping[str, Any],
    config: WandbConfig,
    costs: Mapping[str, float] | None = None,
) -> WandbConfig:
    """Return a trial's W&B config: its id, name, group and tags, and its parameters.

    Parameters are logged under ``trial``, as ``trial.optimizer/lr``: W&B reads a dot as a nested key, and the
    choice of a group is not a single value of the run's config.

    Args:
        sweep_study: The sweep.
        trial: The trial.
        parameters: Its value for each key of the config.
        config: ``logger.wandb`` of the run config, with the user's group and tags; without them, those of
            ``WANDB_RUN_GROUP`` and ``WANDB_TAGS`` are used.
        costs: What the network costs in use, for the config, as ``perf.export_ms``.
    """
    settings, number, name = wandb_settings(), trial.number, f"{sweep_study.plan.name}_{trial.number}"
    # Part of the run ID, so that two sweeps of the same name do not share runs.
    study_key = sweep_study.study.user_attrs.get("key", "")
    perf = {name.removeprefix("perf/"): value for name, value in (costs or {}).items()}
    logged = {key.replace(".", "/"): value for key, value in parameters.items()}
    return config.replace(
        id=f"{sweep_study.plan.name}_{study_key}_{number}" if study_key else name,
        name=_grid_name(trial, config) or name,
        group=config.group or settings.run_group or sweep_study.plan.name,
        tags=[*(config.tags or settings.run_tags or ()), TAG],
        config={"trial": {"number": number, **logged}} | ({"perf": perf} if perf else {}),
    )


def _grid_name(trial: BaseTrial | FrozenTrial, config: WandbConfig) -> str | None:
    """Return the name of a trial of a grid, ``3 optimizer=adam seed=1``, unless the user has set one."""
    if "folder" not in trial.user_attrs:
        return None
    return config.name or " ".join([str(trial.number), *short_words(trial.user_attrs["words"])])


def tag_best(sweep_study: SweepStudy, number: int) -> None:
    """Tag a trial's W&B run as the best of the sweep, and remove the tag from the previous best.

    A failure of W&B is a warning: the sweep has finished.
    """
    before = sweep_study.study.user_attrs.get(BEST_ATTRIBUTE)
    if before == number:
        return
    with warn_on_failure("W&B: the best trial was not tagged"):
        root = sweep_study.plan.folder
        folder_of = {trial.number: trial_folder(root, trial) for trial in sweep_study.trials()}
        if before is not None:
            _set_tag(folder_of[before], None)
        if _set_tag(folder_of[number], "best"):
            sweep_study.study.set_user_attr(BEST_ATTRIBUTE, number)


def tag_front(sweep_study: SweepStudy, numbers: Sequence[int]) -> None:
    """Tag the W&B runs of the trials on the Pareto front, beside the best one, and untag those that left it.

    Args:
        sweep_study: A sweep with several objectives, whose best trial was tagged.
        numbers: Numbers of the trials on the front.
    """
    attrs = sweep_study.study.user_attrs
    others = [number for number in numbers if number != attrs.get(BEST_ATTRIBUTE)]
    before = [number for number in attrs.get(FRONT_ATTRIBUTE, []) if number != attrs.get(BEST_ATTRIBUTE)]
    with warn_on_failure("W&B: the trials on the Pareto front were not tagged"):
        root = sweep_study.plan.folder
        folder_of = {trial.number: trial_folder(root, trial) for trial in sweep_study.trials()}
        for number in sorted({*before, *others}):
            if (number in before) != (number in others):
                _set_tag(folder_of[number], "pareto" if number in others else None)
        sweep_study.study.set_user_attr(FRONT_ATTRIBUTE, others)


def _set_tag(folder: Path, tag: str | None) -> bool:
    """Resume a trial's W&B run to set its tag beside `TAG`; return whether the trial has such a run."""
    if not (folder / "config.yaml").is_file():
        return False
    config = read_config(folder)
    if (wandb := config.logger.wandb) is None:
        return False
    tags = [*wandb.tags, *([tag] if tag else [])]
    run = start_wandb(wandb.replace(tags=tags), folder, config.to_dict(), read_record(folder).id)
    run.summary.update(_summary(folder) | {"sweep/best": tag == "best"})
    finish_wandb(run, failed=False)
    return True


def _summary(folder: Path) -> dict[str, Any]:
    """Return the outcome of a run, to be logged again: a resumed offline run may replace its first part."""
    record = read_record(folder)
    best = {best_name(key): value for key, value in record.best_metrics.items()}
    return {"status": record.status or None, **best}
