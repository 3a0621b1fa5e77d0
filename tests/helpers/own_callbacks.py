"""Callbacks that tests name by ``_target_``, as users do with theirs."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from fer.core.errors import FerError


class StopAfter(Callback):
    """Fail at the start of an epoch.

    Args:
        epochs: Number of epochs to complete.
    """

    def __init__(self, epochs: int = 2) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Raise an error in the last epoch."""
        if trainer.current_epoch == self.epochs:
            raise FerError("stopped by the test")
