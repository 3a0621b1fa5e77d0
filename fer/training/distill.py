"""The loss of a distillation: the label's loss and that of the teachers' probabilities, weighted."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.training.losses import Loss, at_least_float32, to_distribution
from fer.training.recipe import DistillConfig
from fer.training.sources import SourceAdjusted

# The logarithm of a smaller probability is that of this one.
_MIN_PROBABILITY = 1e-12


class Distilled(nn.Module):
    """A loss of labels, with weight ``1 - weight``, and of teachers' probabilities, with ``weight``.

    Args:
        loss: The loss of the labels.
        config: Weight and temperature.

    Shape: logits ``(B, K)``; target as for the loss of the labels, or ``(B, 2 K)`` as `join` returns it;
        output a scalar. With `SourceAdjusted` the
        target has K more columns.
    """

    def __init__(self, loss: Loss | SourceAdjusted, config: DistillConfig) -> None:
        super().__init__()
        self.labels_loss, self.config = loss, config
        # Of a target: labels, what sources add to the logits, teachers' probabilities.
        self._parts = 3 if isinstance(loss, SourceAdjusted) else 2

    @property
    def needs_votes(self) -> bool:
        """Whether the loss of the labels needs annotators' votes."""
        return self.labels_loss.needs_votes

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return the target of the labels' loss."""
        return self.labels_loss.build_target(label, votes)

    def join(self, target: Tensor, teacher: Tensor) -> Tensor:
        """Return the target of the labels and the teachers' softened probabilities, ``(B, 2 K)`` or more.

        In this form Mixup and CutMix mix both alike.

        Args:
            target: ``(B,)``, ``(B, K)``, or as `SourceAdjusted` returns it.
            teacher: Probabilities ``(B, K)``.
        """
        return torch.cat([to_distribution(target, teacher), soften(teacher, self.config.temperature)], 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss; that of the labels alone for a target without teachers."""
        classes = logits.shape[1]
        if target.ndim == 1 or target.shape[1] < classes * self._parts:
            loss: Tensor = self.labels_loss(logits, target)
            return loss
        label, teacher = target[:, :-classes], target[:, -classes:]
        share = self.config.weight
        distilled = distillation_loss(logits, teacher, self.config.temperature)
        return (1 - share) * self.labels_loss(logits, label) + share * distilled


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return ``T^2 KL(teacher || student)``, averaged over the batch.

    Hinton et al. 2015, section 2, https://arxiv.org/abs/1503.02531. The factor keeps the size of the gradient
    independent of the temperature.

    Args:
        logits: ``(B, K)`` of the student.
        teacher: Probabilities ``(B, K)``, softened by `soften`.
        temperature: T.
    """
    log_probs = (at_least_float32(logits) / temperature).log_softmax(1)
    return F.kl_div(log_probs, teacher.to(log_probs.dtype), reduction="batchmean") * temperature**2


def soften(probs: Tensor, temperature: float) -> Tensor:
    """Return probabilities ``(B, K)`` whose logits are divided by a temperature."""
    return (probs.clamp(min=_MIN_PROBABILITY).log() / temperature).softmax(1)
