"""How long a training is, and how much of it is done."""

import math

import pytorch_lightning as pl


def planned_epochs(trainer: pl.Trainer) -> float:
    """Return the length of a training in epochs: ``max_epochs``, or less with ``max_steps``.

    A fraction if ``max_steps`` ends within an epoch, and infinity if neither is set.
    """
    epochs = math.inf if trainer.max_epochs in (None, -1) else max(1, trainer.max_epochs or 1)
    if trainer.max_steps < 0:
        return epochs
    return min(
        epochs, trainer.max_steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    )


def training_progress(trainer: pl.Trainer) -> float:
    """Return the fraction of a training that is done, in [0, 1)."""
    epochs = planned_epochs(trainer)
    if epochs == trainer.max_epochs or epochs == math.inf:
        return trainer.current_epoch / epochs
    return trainer.global_step / trainer.max_steps
