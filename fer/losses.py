"""What training minimises, and the class weights that answer an imbalanced set."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer.errors import FerError, did_you_mean

LOSSES = ("cross_entropy",)
IMBALANCE = ("none", "class_weights")


def class_weights(counts: Sequence[int]) -> Tensor:
    """Weigh every class by the inverse of its frequency, as scikit-learn's ``balanced`` does.

    ``weight[k] = N / (K * counts[k])``, so that the mean weight of a sample is 1 (King & Zeng 2001, Logistic
    Regression in Rare Events Data, section 4). A class without samples gets weight 0: no sample asks for it.

    Args:
        counts: Training samples of each class, ``(K,)``.

    Returns:
        float32 ``(K,)``.
    """
    samples = torch.as_tensor(counts, dtype=torch.float64)
    present = samples > 0
    weights = torch.zeros_like(samples)
    weights[present] = samples.sum() / (present.sum() * samples[present])
    return weights.float()


def build_loss(config: Mapping[str, Any], imbalance: str, counts: Sequence[int]) -> nn.Module:
    """Build the loss named in the config.

    Args:
        config: ``name`` (one of `LOSSES`) and ``label_smoothing`` in [0, 1) (Szegedy et al. 2016, section 7,
            https://arxiv.org/abs/1512.00567).
        imbalance: One of `IMBALANCE`.
        counts: Training samples of each class, ``(K,)``.

    Returns:
        A module of logits ``(B, K)`` and targets ``(B,)`` that gives a scalar.

    Raises:
        FerError: A name is unknown or a number out of range.
    """
    _expect_one_of("loss.name", config["name"], LOSSES)
    _expect_one_of("imbalance.name", imbalance, IMBALANCE)
    smoothing = float(config["label_smoothing"])
    if not 0.0 <= smoothing < 1.0:
        raise FerError(f"loss.label_smoothing: expected a number in [0, 1), got {smoothing}.")
    weight = class_weights(counts) if imbalance == "class_weights" else None
    return nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)


def _expect_one_of(key: str, value: str, options: Sequence[str]) -> None:
    if value not in options:
        hint = did_you_mean(str(value), options)
        raise FerError(f"{key}: expected one of {', '.join(options)}, got {value!r}.{hint}")
