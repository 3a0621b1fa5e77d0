"""Do the options of a run fit its data and each other? Asked when the data is read, before any epoch."""

from collections.abc import Mapping
from typing import Any

from fer.data.datamodule import EmotionDataModule
from fer.errors import FerError, did_you_mean
from fer.module import EmotionModule


def check_monitor(monitor: str, module: EmotionModule) -> None:
    """Refuse a monitor of an emotion that the data does not have, before an epoch is spent."""
    emotion, known = monitor.split("/")[-1], module.labels.names
    if monitor.count("/") == 2 and emotion not in known:
        hint = did_you_mean(emotion, known)
        raise FerError(f"monitor={monitor}: the emotions here are {', '.join(known)}.{hint}")


def check_together(config: Mapping[str, Any], module: EmotionModule, datamodule: EmotionDataModule) -> None:
    """Refuse options that exclude each other, or that the data excludes."""
    if module.loss.wants_votes and datamodule.data.votes is None:
        raise FerError(
            f"loss={config['loss']['name']}: this data set has no votes of annotators. "
            "Use datamodule=ferplus, or loss=cross_entropy."
        )
    if config["optimizer"]["name"] == "sam" and config["trainer"]["accumulate_grad_batches"] > 1:
        raise FerError(
            "optimizer=sam computes each batch twice, and several batches a step "
            "(trainer.accumulate_grad_batches) cannot be computed again. Set that to 1."
        )
