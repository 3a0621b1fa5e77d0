"""Checks of a run's options against its data and each other, and readable errors for failures of a fit."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fer.data.datamodule import EmotionDataModule
from fer.errors import FerError
from fer.module import EmotionModule

# Part of a message of Lightning or torch -> the option that causes it.
_ERROR_CAUSES = {
    "val_check_interval": "trainer",
    "Early stopping conditioned": "early_stopping_patience needs a validation, but none ran",
    "Expected more than 1 value": "datamodule.batch_size: batch norm needs at least two images of this size",
}
# Messages of gloo and NCCL about a lost process.
_LOST_PROCESS = r"[Cc]onnection (closed|reset|refused)|[Bb]roken pipe|NCCL"


def check_compatibility(
    config: Mapping[str, Any], module: EmotionModule, datamodule: EmotionDataModule
) -> None:
    """Check that the options are compatible with each other and with the data, before the first epoch.

    Raises:
        FerError: Two options exclude each other, or the data lacks what an option needs.
    """
    if module.loss.needs_votes and datamodule.data.votes is None:
        raise FerError(
            f"loss={config['loss']['name']}: expected a data set with annotator votes, got one without. "
            "Use datamodule=ferplus, datamodule=fer2013 with datamodule.votes=true, or loss=cross_entropy."
        )
    batches = config["trainer"]["accumulate_grad_batches"]
    if config["optimizer"]["name"] == "sam" and batches > 1:
        raise FerError(
            f"trainer.accumulate_grad_batches: expected 1 with optimizer=sam, got {batches}. SAM needs two "
            "passes over each batch, which gradient accumulation does not support."
        )
    if config["optimizer"].get("layer_decay") is not None:
        # raises FerError for a model without layers
        module.model.group_matcher()
    if config["trainer"]["limit_val_batches"] == 0:
        _check_without_validation(config)


def _check_without_validation(config: Mapping[str, Any]) -> None:
    """Raise FerError for an option that needs the validation metric, which is never computed."""
    needs_validation = {
        "early_stopping_patience": config["early_stopping_patience"] is not None,
        "scheduler=plateau": config["scheduler"]["name"] == "plateau",
    }
    for option, is_set in needs_validation.items():
        if is_set:
            raise FerError(
                f"{option}: expected a validation of {config['monitor']}, but trainer.limit_val_batches=0 "
                "turns validation off. Remove one of the two options."
            )


def explain_fit_error(error: BaseException, processes: int) -> BaseException:
    """Return a `FerError` for a known failure of a fit, else ``error`` itself.

    Known are options that Lightning rejects, out of memory, and the loss of another process.

    Args:
        error: Raised by ``Trainer.fit``.
        processes: Number of processes of the run.
    """
    text = " ".join(str(error).split())
    if isinstance(error, MisconfigurationException):
        return FerError(f"trainer: {text}")
    if isinstance(error, torch.OutOfMemoryError):
        return FerError(
            "Out of device memory. Reduce datamodule.batch_size, or datamodule.eval_batch_size if it "
            f"happened during validation. {text}"
        )
    if isinstance(error, ValueError | RuntimeError):
        for part, cause in _ERROR_CAUSES.items():
            if part in text:
                return FerError(f"{cause}: {text}")
    if processes > 1 and isinstance(error, RuntimeError) and re.search(_LOST_PROCESS, str(error)):
        return FerError(
            "Another process of this run stopped, so this process cannot continue. The cause is in the "
            "output of that process. Checkpoints of earlier epochs are kept."
        )
    return error
