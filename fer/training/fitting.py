"""Do the options of a run fit its data and each other? Asked when the data is read, before any epoch."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fer.data.datamodule import EmotionDataModule
from fer.errors import FerError
from fer.module import EmotionModule

_OPTIONS = {  # what else is an option's fault, by words of Lightning and torch
    "val_check_interval": "trainer",
    "Early stopping conditioned": "early_stopping_patience waits for a validation, and there was none",
    "Expected more than 1 value": "datamodule.batch_size: batch normalisation needs two images of this size",
}
_LOST = r"[Cc]onnection (closed|reset|refused)|[Bb]roken pipe|NCCL"  # gloo and NCCL, of a lost process


def check_together(config: Mapping[str, Any], module: EmotionModule, datamodule: EmotionDataModule) -> None:
    """Refuse options that exclude each other, or that the data excludes."""
    if module.loss.wants_votes and datamodule.data.votes is None:
        raise FerError(
            f"loss={config['loss']['name']}: this data set has no votes of annotators. "
            "Use datamodule=ferplus, datamodule=fer2013 with datamodule.votes=true, or loss=cross_entropy."
        )
    if config["optimizer"]["name"] == "sam" and config["trainer"]["accumulate_grad_batches"] > 1:
        raise FerError(
            "optimizer=sam computes each batch twice, and several batches a step "
            "(trainer.accumulate_grad_batches) cannot be computed again. Set that to 1."
        )
    if config["optimizer"].get("layer_decay") is not None:
        module.model.group_matcher()  # which refuses a model without layers before an epoch is spent
    if config["trainer"]["limit_val_batches"] == 0:
        _check_without_validation(config)


def _check_without_validation(config: Mapping[str, Any]) -> None:
    """Refuse what waits for a validation that never comes."""
    waiting = {
        "early_stopping_patience": config["early_stopping_patience"] is not None,
        "scheduler=plateau": config["scheduler"]["name"] == "plateau",
    }
    for option, waits in waiting.items():
        if waits:
            raise FerError(
                f"{option} watches {config['monitor']}, and trainer.limit_val_batches=0 validates nothing. "
                "Leave one of the two out."
            )


def in_words(error: BaseException, processes: int) -> BaseException:
    """Return a `FerError` for what Lightning refuses in a fit or a lost process leaves, else ``error``."""
    text = " ".join(str(error).split())
    if isinstance(error, MisconfigurationException):
        return FerError(f"trainer: {text}")
    if isinstance(error, torch.OutOfMemoryError):
        return FerError(
            "the device ran out of memory: choose a smaller datamodule.batch_size, or eval_batch_size where "
            f"that happened in a validation. {text}"
        )
    if isinstance(error, ValueError | RuntimeError):
        for words, option in _OPTIONS.items():
            if words in text:
                return FerError(f"{option}: {text}")
    if processes > 1 and isinstance(error, RuntimeError) and re.search(_LOST, str(error)):
        return FerError(
            "another process of this run ended, so that this one cannot go on. What it says is printed "
            "beside this line; checkpoints of earlier epochs are kept."
        )
    return error
