"""Data of several sources: a loss that does not teach which emotions a source has, and metrics of each."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from fer.core.errors import FerError
from fer.training.losses import Loss, at_least_float32, to_distribution


class SourceAdjusted(nn.Module):
    """A loss of labels, with the log-frequency of each emotion in its source added to the logits.

    A source of photographs may have neutral and happy faces only. A network that recognizes photographs then
    learns to call no photograph sad. The log-frequency of each emotion in the source, relative to the
    first source, explains that instead (logit adjustment, Menon et al. 2021, https://arxiv.org/abs/2007.07314,
    with one prior per source).

    With strength a, source s is assumed to have the emotion y with the probability ``a p(y | s) + (1 - a)
    p(y | 1)``. The first source is not adjusted, and the network predicts as for its images. At 1, an image
    teaches nothing about emotions that its source lacks. At lower strengths it teaches that it shows none of
    them, as if they were rarer in its source but possible.

    Args:
        loss: The loss of the labels.
        counts: Training images of each emotion in each source, ``(S, K)``.
        strength: a, in (0, 1].

    Shape: logits ``(B, K)``; target as for the loss, or ``(B, 2 K)`` as `join` returns it; output a scalar.
    """

    offsets: Tensor

    def __init__(self, loss: Loss, counts: Sequence[Sequence[int]], strength: float) -> None:
        super().__init__()
        self.labels_loss = loss
        self.register_buffer("offsets", source_offsets(counts, strength), persistent=False)

    @property
    def needs_votes(self) -> bool:
        """Whether the loss of the labels needs annotators' votes."""
        return self.labels_loss.needs_votes

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return the target of the labels' loss."""
        return self.labels_loss.build_target(label, votes)

    def join(self, target: Tensor, source: Tensor) -> Tensor:
        """Return the distribution of the labels and what is added to the logits, ``(B, 2 K)``.

        In this form Mixup and CutMix mix both alike.

        Args:
            target: ``(B,)`` or ``(B, K)``.
            source: Position of each image's source, int64 ``(B,)``.
        """
        offsets = self.offsets[source]
        return torch.cat([to_distribution(target, offsets), offsets], 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the adjusted logits; of the logits for a target without a source."""
        classes = logits.shape[1]
        if target.ndim == 2 and target.shape[1] == 2 * classes:
            logits = at_least_float32(logits) + target[:, classes:]
            target = target[:, :classes]
        loss: Tensor = self.labels_loss(logits, target)
        return loss


def source_offsets(counts: Sequence[Sequence[int]], strength: float) -> Tensor:
    """Return ``log((a p(y | s) + (1 - a) p(y | 1)) / p(y | 1))``, float32 ``(S, K)``.

    Args:
        counts: Training images of each emotion in each source, ``(S, K)``. An emotion that a source lacks
            counts as one image there, to keep the logarithm finite.
        strength: a, in [0, 1]; at 0 all offsets are 0.
    """
    samples = torch.as_tensor(counts, dtype=torch.float64).clamp(min=1)
    priors = samples / samples.sum(1, keepdim=True)
    ratio = priors / priors[0]
    return (1 - strength + strength * ratio).log().float()


def check_sources(strength: float, counts: Sequence[Sequence[int]] | None) -> None:
    """Check that a loss with an adjustment has data of several sources.

    Raises:
        FerError: It has not.
    """
    if strength and counts is None:
        raise FerError(
            f"loss.source_adjustment: expected 0 for a data set of one source, got {strength:g}. "
            "Join several with datamodule=concat, or set it to 0."
        )


class SourceMetrics(Metric):
    """Accuracy and mean recall of each source, and their means, in which each source counts alike.

    Computed are ``val_source/accuracy/NAME`` and ``val_source/uar/NAME`` (mean recall of the emotions that
    the source has) of each source with images, and ``val_source/mean_accuracy`` and ``val_source/mean_uar``.

    Args:
        names: Names of the sources, S.
        classes: Number of emotions, K.

    Attributes:
        confusion: Confusion matrices, int64 ``(S, K, K)``, true emotions in rows.
    """

    confusion: Tensor

    def __init__(self, names: Sequence[str], classes: int) -> None:
        super().__init__()
        self.names = names
        matrices = torch.zeros(len(names), classes, classes, dtype=torch.int64)
        self.add_state("confusion", matrices, dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor, source: Tensor) -> None:
        """Count a batch of class numbers and positions of sources, int64 ``(B,)`` each."""
        _, classes, _ = shape = self.confusion.shape
        cells = (source * classes + target) * classes + predicted
        self.confusion += cells.bincount(minlength=self.confusion.numel()).view(shape)

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by their logged names."""
        scores = {}
        for name, matrix in zip(self.names, self.confusion.double(), strict=True):
            counts, correct = matrix.sum(1), matrix.diagonal()
            if counts.any():
                scores[f"accuracy/{name}"] = correct.sum() / counts.sum()
                scores[f"uar/{name}"] = (correct / counts)[counts > 0].mean()
        for metric in ("accuracy", "uar"):
            values = [value for key, value in scores.items() if key.startswith(f"{metric}/")]
            scores[f"mean_{metric}"] = torch.stack(values).mean()
        return {f"val_source/{key}": value.float() for key, value in scores.items()}
