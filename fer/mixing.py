"""Mixup and CutMix: mix the images of a batch and their labels, on the device."""

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from fer.errors import FerError, did_you_mean

MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


class Mix:
    """Mix each image of a batch with its neighbour, with one mixing ratio per batch.

    Mixup averages the images (Zhang et al. 2018, https://arxiv.org/abs/1710.09412). CutMix pastes a rectangle
    of one into the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899). The labels are averaged with
    the same ratio. Batches are shuffled, so the neighbour is a random image.

    The random numbers depend only on seed, epoch and batch. A resumed run and the second pass of SAM get the
    same mixture, and other random numbers are not affected.

    Args:
        name: ``none`` or one of `MIXES`.
        num_classes: Number of emotions.
        seed: Seed of the random numbers.
        alpha: Both parameters of the Beta distribution of the mixing ratio, above 0.
        probability: Probability that a batch is mixed, 0 to 1.

    Raises:
        FerError: The name is unknown, or a number is out of range.
    """

    def __init__(
        self, name: str, num_classes: int, seed: int, alpha: float = 1.0, probability: float = 1.0
    ) -> None:
        """Check and store the options."""
        if name != "none" and name not in MIXES:
            known = ("none", *MIXES)
            hint = did_you_mean(str(name), known)
            raise FerError(f"mix.name: expected one of {', '.join(known)}, got {name!r}.{hint}")
        if not alpha > 0.0:
            raise FerError(f"mix.alpha: expected a number above 0, got {alpha}.")
        if not 0.0 <= probability <= 1.0:
            raise FerError(f"mix.probability: expected a number in [0, 1], got {probability}.")
        self.transform = None if name == "none" else MIXES[name](alpha=alpha, num_classes=num_classes)
        self.probability, self.seed = probability, seed

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
        if self.transform is None or rng.random() >= self.probability:
            return image, target
        # Torchvision uses the global CPU generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.getrandbits(63))
            mixed: tuple[Tensor, Tensor] = self.transform(image, target)
        return mixed


def build_mix(config: Mapping[str, Any], num_classes: int, seed: int) -> Mix:
    """Build a `Mix` from ``{"name": ..., "alpha": ..., "probability": ...}``; ``none`` needs only a name."""
    return Mix(num_classes=num_classes, seed=seed, **config)
