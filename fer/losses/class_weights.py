"""Class weights, which give samples of rare emotions a larger weight in the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fer.errors import FerError


def class_weights(counts: Sequence[int]) -> Tensor:
    """Return the inverse frequency of each class, as scikit-learn's ``balanced``.

    ``weight[k] = N / (K * counts[k])``, so that the mean weight of a sample is 1 (King & Zeng 2001, Logistic
    Regression in Rare Events Data, section 4). A class without samples has weight 0, which no sample uses.

    Args:
        counts: Training samples of each class, ``(K,)``.

    Returns:
        float32 ``(K,)``.
    """
    return _normalised_inverse(torch.as_tensor(counts, dtype=torch.float64), counts)


def effective_number_weights(counts: Sequence[int], beta: float) -> Tensor:
    """Return the inverse of the effective number of samples of each class.

    Samples of a class overlap, so that each one adds less information than the one before. The effective
    number of n samples is ``(1 - beta^n) / (1 - beta)`` (Cui et al. 2019, https://arxiv.org/abs/1901.05555).
    The paper scales the weights to a sum of K; here the mean weight of a sample is 1, as for `class_weights`.

    Args:
        counts: Training samples of each class, ``(K,)``.
        beta: In [0, 1). 0 gives equal weights; towards 1 the weights approach the inverse frequency.

    Returns:
        float32 ``(K,)``; 0 for a class without samples.

    Raises:
        FerError: ``beta`` is out of range.
    """
    if not 0.0 <= beta < 1.0:
        raise FerError(f"imbalance.beta: expected a number in [0, 1), e.g. 0.999, got {beta}.")
    samples = torch.as_tensor(counts, dtype=torch.float64)
    return _normalised_inverse((1.0 - beta**samples) / (1.0 - beta), counts)


def _normalised_inverse(sizes: Tensor, counts: Sequence[int]) -> Tensor:
    """Return ``1 / sizes``, scaled to a mean of 1 over all samples; 0 for a class without samples."""
    samples = torch.as_tensor(counts, dtype=torch.float64)
    weights = torch.where(samples > 0, 1.0 / sizes, 0.0)
    return (weights * samples.sum() / (weights * samples).sum()).float()
