"""Mixing the faces of a batch and their labels, on the device: mixup and CutMix."""

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from fer.errors import FerError, did_you_mean

MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


class Mix:
    """Mix each face of a batch with its neighbour, all in the same share.

    mixup averages the pictures (Zhang et al. 2018, https://arxiv.org/abs/1710.09412), CutMix puts a rectangle
    of one into the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899); the labels are averaged in the
    same share. The batches are shuffled, so that a neighbour is any other face.

    What is drawn depends on seed, epoch and batch alone: a resumed run draws the same, a second pass over the
    batch sees the same mixture, and no other random number shifts.

    Args:
        name: ``none`` or one of `MIXES`.
        num_classes: Number of emotions.
        seed: Seed of the draws.
        alpha: Both parameters of the Beta distribution of the shares, positive.
        probability: Chance of a batch to be mixed, 0 to 1.

    Raises:
        FerError: An unknown name, or a number out of range.
    """

    def __init__(
        self, name: str, num_classes: int, seed: int, alpha: float = 1.0, probability: float = 1.0
    ) -> None:
        """Check the numbers."""
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
        """Mix a batch, or leave it as it is.

        Args:
            image: float ``(B, C, S, S)``.
            target: int64 ``(B,)`` or float ``(B, K)``.
            epoch: Number of the epoch.
            batch: Number of the batch within the epoch.

        Returns:
            Pictures of the same shape, and the target: float ``(B, K)`` where they were mixed.
        """
        draws = random.Random(f"mix {self.seed} {epoch} {batch}")
        if self.transform is None or draws.random() >= self.probability:
            return image, target
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the CPU's global generator
            torch.default_generator.manual_seed(draws.getrandbits(63))
            mixed: tuple[Tensor, Tensor] = self.transform(image, target)
        return mixed


def build_mix(config: Mapping[str, Any], num_classes: int, seed: int) -> Mix:
    """Build what ``{"name": ..., "alpha": ..., "probability": ...}`` describes; ``none`` has a name alone."""
    return Mix(num_classes=num_classes, seed=seed, **config)
