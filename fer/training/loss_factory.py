"""Build the loss that is named in the config, with class weights for imbalanced data."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from fer.core.config import Part
from fer.core.errors import FerError
from fer.training.losses import (
    CrossEntropy,
    ExpectedLabels,
    Focal,
    GeneralisedCrossEntropy,
    LogitAdjusted,
    Loss,
    SoftTargets,
    SymmetricCrossEntropy,
)
from fer.training.recipe import EffectiveNumberConfig, ImbalanceConfig, LossConfig

LOSSES: dict[str, Callable[..., Loss]] = {
    "balanced_softmax": partial(LogitAdjusted, tau=1.0),
    "cross_entropy": CrossEntropy,
    "expected_labels": ExpectedLabels,
    "focal": Focal,
    "generalised_cross_entropy": GeneralisedCrossEntropy,
    "logit_adjustment": LogitAdjusted,
    "soft_targets": SoftTargets,
    "symmetric_cross_entropy": SymmetricCrossEntropy,
}
# Losses that already correct for class frequency, and so take counts instead of weights.
_ADJUSTED = ("balanced_softmax", "logit_adjustment")


def build_loss(
    loss: Part,
    imbalance: Part,
    counts: Sequence[int],
    label_given_vote: Sequence[Sequence[float]] | None = None,
) -> Loss:
    """Build a loss.

    Args:
        loss: The `LossConfig`, its plain values, or its name.
        imbalance: The `ImbalanceConfig`, likewise; the data loader implements ``oversample``.
        counts: Training samples of each class, ``(K,)``.
        label_given_vote: Transition matrix for `ExpectedLabels`, ``(K, K)``; None for data without votes.

    Raises:
        FerError: An option is invalid, or both the loss and ``imbalance`` correct for imbalance.
    """
    config, correction = LossConfig.of(loss), ImbalanceConfig.of(imbalance)
    options = config.options()
    if config.name not in _ADJUSTED:
        options["weight"] = _weight(correction, counts)
    elif correction.name == "none":
        options["counts"] = counts
    else:
        raise FerError(
            f"imbalance={correction.name}: expected none with loss={config.name}, which already corrects for "
            "class imbalance. Use imbalance=none, or another loss."
        )
    if config.name == "expected_labels":
        options["label_given_vote"] = label_given_vote
    return LOSSES[config.name](**options)


def _weight(imbalance: ImbalanceConfig, counts: Sequence[int]) -> Tensor | None:
    if isinstance(imbalance, EffectiveNumberConfig):
        return class_weights(counts, imbalance.beta)
    return class_weights(counts) if imbalance.name == "class_weights" else None


def class_weights(counts: Sequence[int], beta: float | None = None) -> Tensor:
    """Return the inverse frequency of each class, or the inverse of its effective number of samples.

    The inverse frequency is scikit-learn's ``balanced``: ``weight[k] = N / (K * counts[k])``, so that the
    mean weight of a sample is 1 (King & Zeng 2001, Logistic Regression in Rare Events Data, section 4).

    Samples of a class overlap, so that each one adds less information than the one before. The effective
    number of n samples is ``(1 - beta^n) / (1 - beta)`` (Cui et al. 2019, https://arxiv.org/abs/1901.05555).
    The paper scales the weights to a sum of K; here the mean weight of a sample is 1 as well.

    Args:
        counts: Training samples of each class, ``(K,)``.
        beta: In [0, 1). 0 gives equal weights; towards 1 the weights approach the inverse frequency. None for
            the inverse frequency.

    Returns:
        float32 ``(K,)``; 0 for a class without samples.
    """
    samples = torch.as_tensor(counts, dtype=torch.float64)
    sizes = samples if beta is None else (1.0 - beta**samples) / (1.0 - beta)
    weights = torch.where(samples > 0, 1.0 / sizes, 0.0)
    return (weights * samples.sum() / (weights * samples).sum()).float()
