"""Is the config that every trial varies fit for a sweep? What is wrong there would fail them all."""

from collections.abc import Sequence

from omegaconf import DictConfig

from fer.data.sources import read
from fer.errors import FerError
from fer.monitor import check_emotion
from fer.sweep.compose import Composer
from fer.sweep.plan import Plan
from fer.sweep.space import Parameter

_DATA_GROUPS = ("datamodule", "experiment")  # whose choice may be one of data


def check_base(base: DictConfig, plan: Plan) -> None:
    """Refuse what no trial could train with, or none be judged by.

    Raises:
        FerError: Which option it is, and what to do instead.
    """
    if base.resume is not None:
        raise FerError("resume: goes on with a single run. sweep.resume=true goes on with a sweep.")
    trainer = base.trainer
    if trainer.devices != 1:
        raise FerError("trainer.devices: a sweep trains each trial on one device. For several: sweep.jobs=…")
    if trainer.limit_val_batches == 0:
        raise FerError(f"trainer.limit_val_batches=0: {plan.objective} would never be measured.")
    if plan.pruner["name"] != "none" and (trainer.min_epochs or trainer.min_steps):
        raise FerError(
            "trainer.min_epochs, trainer.min_steps: would train pruned trials on. Leave them out, or set "
            "sweep.pruner.name=none."
        )


def check_data(plan: Plan, compose: Composer) -> None:
    """Read the data once, if all trials share them.

    Raises:
        FerError: They cannot be read, or have not the emotion of the objective.
    """
    if not _is_searched(plan.space):
        faces = read(compose.values({"monitor": plan.objective})["datamodule"])
        check_emotion(plan.objective, faces.labels)


def _is_searched(space: Sequence[Parameter]) -> bool:
    keys = [parameter.key for parameter in space if not parameter.key.endswith("batch_size")]
    return any(key.split(".")[0] in _DATA_GROUPS for key in keys)
