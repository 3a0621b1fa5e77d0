"""Batches of the training module: their form, and Mixup and CutMix, which mix images and labels."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from fer.core.config import Part
from fer.core.errors import FerError
from fer.training.recipe import MixConfig, PairMixConfig

Batch = Mapping[str, Tensor]
MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


def as_batch(batch: Any) -> Batch:
    """Return a batch of any loader as a dict with float images.

    Raises:
        FerError: It has no images.
    """
    if isinstance(batch, Tensor):
        batch = {"image": batch}
    elif isinstance(batch, Sequence) and len(batch) == 2:
        batch = dict(zip(("image", "target"), batch, strict=True))
    if isinstance(batch, Mapping) and isinstance(image := batch.get("image"), Tensor):
        return batch if image.is_floating_point() else {**batch, "image": image / 255}
    raise FerError(
        'A batch of the loader: expected {"image": float (B, C, S, S), "target": int64 (B,)} or a pair of '
        f"these, got {_describe(batch)}. Change the collate_fn of the loader."
    )


def _describe(batch: Any) -> str:
    return f"the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__


def class_numbers(target: Tensor, num_classes: int | None = None) -> Tensor:
    """Return class numbers ``(B,)``; the label of a distribution is its most probable class.

    Only the first ``num_classes`` columns count, if given: teachers' probabilities may follow.
    """
    return target if target.ndim == 1 else target[:, :num_classes].argmax(1)


def loss_and_sums(
    image: Tensor, target: Tensor, network: Callable[[Tensor], Tensor], loss: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss and logits of a batch, and what it adds to the epoch sums: loss, correct images, images.

    The sums stay on the device: ``self.log`` in each step took a tenth of the time of the fast CNN.
    """
    logits = network(image)
    value = loss(logits, target)
    correct = (logits.detach().argmax(1) == class_numbers(target, logits.shape[1])).sum()
    count = torch.full_like(correct, len(target))
    return value, logits, torch.stack([value.detach().float() * count, correct, count])


class Mix:
    """Mix each image of a batch with its neighbour, with one mixing ratio per batch.

    Mixup averages the images (Zhang et al. 2018, https://arxiv.org/abs/1710.09412). CutMix pastes a rectangle
    of one into the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899). The labels are averaged with
    the same ratio. Batches are shuffled, so the neighbour is a random image.

    The random numbers depend only on seed, epoch and batch. A resumed run and the second pass of SAM get the
    same mixture, and other random numbers are not affected.

    Args:
        mix: The `MixConfig`, its plain values, or its name.
        num_classes: Number of emotions.
        seed: Seed of the random numbers.
    """

    def __init__(self, mix: Part, num_classes: int, seed: int) -> None:
        self.seed, self.config = seed, MixConfig.of(mix)
        if isinstance(self.config, PairMixConfig):
            self.transform = MIXES[self.config.name](alpha=self.config.alpha, num_classes=num_classes)

    def __call__(self, image: Tensor, target: Tensor, epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """Return the batch, mixed or unchanged.

        Args:
            image: float ``(B, C, S, S)``.
            target: int64 ``(B,)`` or float ``(B, K)``.
            epoch: Number of the epoch.
            batch: Number of the batch within the epoch.

        Returns:
            Images of the same shape, and the target: float ``(B, K)`` if mixed, otherwise unchanged.
        """
        rng = random.Random(f"mix {self.seed} {epoch} {batch}")
        if not isinstance(self.config, PairMixConfig) or rng.random() >= self.config.probability:
            return image, target
        # Torchvision uses the global CPU generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.getrandbits(63))
            mixed: tuple[Tensor, Tensor] = self.transform(image, target)
        return mixed
