"""Checks of a sweep's base config and data: a mistake there would make every trial fail."""

from collections.abc import Sequence

from omegaconf import DictConfig

from fer.data.sources import read_dataset
from fer.errors import FerError
from fer.monitor import check_monitor_emotion
from fer.sweep.compose import Composer
from fer.sweep.plan import Plan
from fer.sweep.space import Parameter

_DATA_GROUPS = ("datamodule", "experiment")  # config groups whose choice may change the data


def check_base(base: DictConfig, plan: Plan) -> None:
    """Check the config that every trial varies, so that no trial fails because of it.

    Raises:
        FerError: An option is not possible in a sweep.
    """
    if base.resume is not None:
        raise FerError(
            f"resume: expected null in a sweep, got {base.resume}, which resumes a single run. To resume a "
            "sweep, set sweep.resume=true."
        )
    trainer = base.trainer
    if trainer.devices != 1:
        raise FerError(
            f"trainer.devices: expected 1, got {trainer.devices}: a sweep trains each trial on one device. "
            "To use several devices, set sweep.jobs."
        )
    if trainer.limit_val_batches == 0:
        raise FerError(
            f"trainer.limit_val_batches: expected more than 0, got 0: {plan.objective} would never be "
            "measured. Remove this option."
        )
    if plan.pruner["name"] != "none" and (trainer.min_epochs or trainer.min_steps):
        raise FerError(
            "trainer.min_epochs, trainer.min_steps: expected null with a pruner, because pruned trials would "
            "continue to train. Remove them, or set sweep.pruner.name=none."
        )


def check_data(plan: Plan, compose: Composer) -> None:
    """Read the data set once, unless the space searches over it.

    Raises:
        FerError: It cannot be read, or it lacks the emotion of the objective.
    """
    if not _searches_data(plan.space):
        dataset = read_dataset(compose.values({"monitor": plan.objective})["datamodule"])
        check_monitor_emotion(plan.objective, dataset.labels)


def _searches_data(space: Sequence[Parameter]) -> bool:
    keys = [parameter.key for parameter in space if not parameter.key.endswith("batch_size")]
    return any(key.split(".")[0] in _DATA_GROUPS for key in keys)
