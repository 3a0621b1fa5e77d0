"""Class weights: how much more a sample of a rare emotion counts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fer.errors import FerError


def class_weights(counts: Sequence[int]) -> Tensor:
    """Weigh every class by the inverse of its frequency, as scikit-learn's ``balanced`` does.

    ``weight[k] = N / (K * counts[k])``, so that the mean weight of a sample is 1 (King & Zeng 2001, Logistic
    Regression in Rare Events Data, section 4). A class without samples gets weight 0: no sample asks for it.

    Args:
        counts: Training samples of each class, ``(K,)``.

    Returns:
        float32 ``(K,)``.
    """
    return _inverse(torch.as_tensor(counts, dtype=torch.float64), counts)


def effective_number_weights(counts: Sequence[int], beta: float) -> Tensor:
    """Weigh every class by the inverse of its effective number of samples.

    Samples of a class overlap, so that the n-th adds less than the first: n of them are worth
    ``(1 - beta^n) / (1 - beta)`` (Cui et al. 2019, https://arxiv.org/abs/1901.05555). The paper scales the
    weights to a sum of K; here the mean weight of a sample is 1, as for `class_weights`.

    Args:
        counts: Training samples of each class, ``(K,)``.
        beta: 0 weighs all alike, towards 1 it becomes the inverse frequency; in [0, 1).

    Returns:
        float32 ``(K,)``; 0 for a class without samples.

    Raises:
        FerError: ``beta`` is out of range.
    """
    if not 0.0 <= beta < 1.0:
        raise FerError(f"imbalance.beta: expected a number in [0, 1), e.g. 0.999, got {beta}.")
    samples = torch.as_tensor(counts, dtype=torch.float64)
    return _inverse((1.0 - beta**samples) / (1.0 - beta), counts)


def _inverse(sizes: Tensor, counts: Sequence[int]) -> Tensor:
    """Return ``1 / sizes``, scaled to a mean of 1 over all samples; 0 for a class without samples."""
    samples = torch.as_tensor(counts, dtype=torch.float64)
    weights = torch.where(samples > 0, 1.0 / sizes, 0.0)
    return (weights * samples.sum() / (weights * samples).sum()).float()
