"""Leave the backbone as it came for some epochs."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from fer.errors import FerError


class FrozenBackbone(Callback):
    """Keep weights and batch-norm statistics of the backbone as they are for the first epochs.

    The fresh head learns first, so that its first large gradients do not undo what the backbone knows (Kumar
    et al. 2022, https://arxiv.org/abs/2202.10054). The phase follows from the epoch alone: a run that goes on
    from a checkpoint is in the right one. All parameters are in the optimizer from the start, which passes
    over those without a gradient; so schedules need not know of the phases.

    Args:
        epochs: Number of epochs to freeze for, 0 or more.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a distributed training that waits for the gradients of all parameters.

        Raises:
            FerError: It says which strategy does not.
        """
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
            raise FerError(
                "model.freeze_epochs on several devices: expected a strategy that allows parameters without "
                "gradients, got ddp. Use trainer.strategy=ddp_find_unused_parameters_true."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or not where a run goes on in the middle of an epoch, for which no epoch starts."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or not."""
        self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: Any) -> None:
        learns = trainer.current_epoch >= self.epochs
        pl_module.model.backbone.train(learns).requires_grad_(learns)
