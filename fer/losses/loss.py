"""Losses of logits and targets, where a target is a class number or a distribution over the classes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.errors import FerError


class Loss(nn.Module):
    """Mean cost of a batch, where a subclass says what each class would cost if it were the label.

    A distribution pays the mean cost over its classes, so that a mixture of two labels pays the mixture of
    their losses, as mixup wants it. Weights are averaged as in torch: the sum of weight x cost over the sum
    of the weights.

    Args:
        weight: Weight of each class, ``(K,)``; None weighs all alike.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1) (Szegedy et al. 2016,
            section 7, https://arxiv.org/abs/1512.00567).

    Attributes:
        wants_votes: Whether its target comes from the annotators' votes; then the data has to have them.

    Shape: logits ``(B, K)`` float; target ``(B,)`` int64 or ``(B, K)`` float with rows that sum to 1; out a
        scalar.
    """

    wants_votes = False
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        """Keep the weights; they are no part of a checkpoint, since the counts in it give them again."""
        super().__init__()
        if not 0.0 <= label_smoothing < 1.0:
            raise FerError(f"loss.label_smoothing: expected a number in [0, 1), got {label_smoothing}.")
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight, persistent=False)

    def target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return what to learn of labels ``(B,)`` and votes ``(B, K)``: the labels."""
        return label

    def costs(self, logits: Tensor) -> Tensor:
        """Return what each class would cost if it were the label, ``(B, K)``, of logits ``(B, K)``."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean."""
        costs = self.costs(at_least_float32(logits))
        shares = as_distribution(target, costs)
        paid = self.smooth(shares)
        if self.weight is None:
            return (paid * costs).sum() / shares.sum()
        weight = self.weight.to(costs.dtype)
        return (paid * costs * weight).sum() / (shares * weight).sum()

    def smooth(self, shares: Tensor) -> Tensor:
        """Return distributions ``(B, K)`` of which a part is spread over all classes."""
        return shares.lerp(torch.full_like(shares, 1 / shares.shape[1]), self.label_smoothing)


class CrossEntropy(Loss):
    """Negative log-likelihood of the label; that of torch, which weighs distributions otherwise."""

    def costs(self, logits: Tensor) -> Tensor:
        """Return ``-log p``."""
        return -logits.log_softmax(1)


class Focal(Loss):
    """Cross-entropy that counts an easy sample less: ``-(1 - p)^gamma log p``.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, with a softmax. The paper's alpha is the class weights'
    part.

    Args:
        gamma: How fast easy samples fade, 0 or more; 0 is cross-entropy.
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    def __init__(self, gamma: float, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        """Keep gamma."""
        super().__init__(weight, label_smoothing)
        expect(gamma >= 0.0, "gamma", "a number of at least 0", gamma)
        self.gamma = gamma

    def costs(self, logits: Tensor) -> Tensor:
        """Return ``-(1 - p)^gamma log p``."""
        log_probs = logits.log_softmax(1)
        # The clamp keeps the gradient of a fractional power finite where a probability is 1.
        missing = (-log_probs.expm1()).clamp(min=torch.finfo(log_probs.dtype).tiny)
        return -missing.pow(self.gamma) * log_probs


class LogitAdjusted(Loss):
    """Cross-entropy of logits to which the log-frequency of each class is added, in training alone.

    The network then learns what speaks for a class beyond its frequency, and predicts for balanced data
    (Menon et al. 2021, https://arxiv.org/abs/2007.07314). With ``tau=1`` it is the balanced softmax of Ren et
    al. 2020, https://arxiv.org/abs/2007.10740.

    Args:
        counts: Training samples of each class, ``(K,)``; a class without any counts as one sample, which
            keeps its logarithm finite.
        tau: Strength, 0 or more; 0 is cross-entropy.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    offsets: Tensor

    def __init__(self, counts: Sequence[int], tau: float, label_smoothing: float = 0.0) -> None:
        """Keep the offsets."""
        super().__init__(label_smoothing=label_smoothing)
        expect(tau >= 0.0, "tau", "a number of at least 0", tau)
        samples = torch.as_tensor(counts, dtype=torch.float32).clamp(min=1)
        self.register_buffer("offsets", tau * (samples / samples.sum()).log(), persistent=False)

    def costs(self, logits: Tensor) -> Tensor:
        """Return ``-log p`` of the adjusted logits."""
        return -(logits + self.offsets).log_softmax(1)


class GeneralisedCrossEntropy(Loss):
    """``(1 - p^q) / q``, for noisy labels: between cross-entropy (q to 0) and mean absolute error (q = 1).

    Zhang & Sabuncu 2018, https://arxiv.org/abs/1805.07836, without the truncated variant.

    Args:
        q: How little an unlikely label counts, in (0, 1].
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    def __init__(self, q: float, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        """Keep q."""
        super().__init__(weight, label_smoothing)
        expect(0.0 < q <= 1.0, "q", "a number in (0, 1]", q)
        self.q = q

    def costs(self, logits: Tensor) -> Tensor:
        """Return ``(1 - p^q) / q``."""
        return -(self.q * logits.log_softmax(1)).expm1() / self.q


class SymmetricCrossEntropy(Loss):
    """``alpha CE(label, p) + beta CE(p, label)``, for noisy labels: the second part is bounded.

    Wang et al. 2019, https://arxiv.org/abs/1908.06112. In the reverse cross-entropy the logarithm of a
    label's zeros is set to a constant A, which leaves ``-A (1 - p)``.

    Args:
        alpha: Weight of the cross-entropy, 0 or more.
        beta: Weight of the reverse cross-entropy, 0 or more.
        log_zero: The constant A, below 0.
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    def __init__(
        self,
        alpha: float,
        beta: float,
        log_zero: float,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        """Keep the numbers."""
        super().__init__(weight, label_smoothing)
        expect(alpha >= 0.0, "alpha", "a number of at least 0", alpha)
        expect(beta >= 0.0, "beta", "a number of at least 0", beta)
        expect(log_zero < 0.0, "log_zero", "a number below 0", log_zero)
        self.alpha, self.beta, self.log_zero = alpha, beta, log_zero

    def costs(self, logits: Tensor) -> Tensor:
        """Return ``-alpha log p - beta A (1 - p)``."""
        log_probs = logits.log_softmax(1)
        return self.beta * self.log_zero * log_probs.expm1() - self.alpha * log_probs


def at_least_float32(logits: Tensor) -> Tensor:
    """Return half-precision logits, as mixed precision gives them, in float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def as_distribution(target: Tensor, like: Tensor) -> Tensor:
    """Return class numbers ``(B,)`` or distributions ``(B, K)`` as distributions of ``like``'s type."""
    return (target if target.ndim == 2 else F.one_hot(target, like.shape[1])).to(like.dtype)


def expect(holds: bool, key: str, expected: str, value: float) -> None:
    """Raise a FerError that names the option unless ``holds``; so does a NaN or an infinity."""
    if not (holds and math.isfinite(value)):
        raise FerError(f"loss.{key}: expected {expected}, got {value}.")
