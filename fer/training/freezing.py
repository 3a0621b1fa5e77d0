"""Freezing of the backbone for the first epochs."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from fer.errors import FerError


class FrozenBackbone(Callback):
    """Freeze weights and batch-norm statistics of the backbone for the first epochs.

    The new head is trained first, so that its large initial gradients do not distort the pretrained features
    (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Whether the backbone is frozen depends on the epoch
    number alone, so it is right in a resumed run as well. All parameters are in the optimizer from the start
    (it skips those without a gradient), so schedules are not affected.

    Args:
        epochs: Number of epochs to freeze for, 0 or more.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Check that the strategy allows parameters without gradients.

        Raises:
            FerError: It is plain DDP, which waits for all gradients.
        """
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
            raise FerError(
                "model.freeze_epochs on several devices: expected a strategy that allows parameters without "
                "gradients, got ddp. Use trainer.strategy=ddp_find_unused_parameters_true."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or unfreeze in a run resumed in the middle of an epoch, which starts no epoch."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or unfreeze."""
        self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: Any) -> None:
        is_trainable = trainer.current_epoch >= self.epochs
        pl_module.model.backbone.train(is_trainable).requires_grad_(is_trainable)
