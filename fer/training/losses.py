"""Losses of logits and targets, where a target is a class number or a distribution over classes.

`SoftTargets` and `ExpectedLabels` train on the votes of several annotators.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias

# A smaller sum of votes counts as no votes.
_MIN_VOTES = 1e-6


class Loss(nn.Module):
    """Mean loss of a batch; a subclass defines the loss of each class as if it were the label.

    The loss of a target distribution is the expectation over its classes. A mixture of two labels therefore
    has the same mixture of their losses, as mixup requires. Class weights are averaged as in torch: the sum
    of weight times loss, divided by the sum of the weights.

    Args:
        weight: Weight of each class, ``(K,)``; None for equal weights.
        label_smoothing: Fraction of the target that is spread over all classes, in [0, 1) (Szegedy et al.
            2016, section 7, https://arxiv.org/abs/1512.00567).

    Attributes:
        needs_votes: Whether the target is computed from annotators' votes, so that the data must have them.

    Shape: logits ``(B, K)`` float; target ``(B,)`` int64, or ``(B, K)`` float with rows that sum to 1; output
        a scalar.
    """

    needs_votes = False
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        """Store the weights as a non-persistent buffer; a checkpoint has the counts to recompute them."""
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight, persistent=False)

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return the target for labels ``(B,)`` and votes ``(B, K)``; by default the labels."""
        return label

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return the loss of each class as if it were the label, ``(B, K)``, for logits ``(B, K)``."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean loss."""
        losses = self.class_losses(at_least_float32(logits))
        distribution = to_distribution(target, losses)
        smoothed = self.smooth(distribution)
        if self.weight is None:
            return (smoothed * losses).sum() / distribution.sum()
        weight = self.weight.to(losses.dtype)
        return (smoothed * losses * weight).sum() / (distribution * weight).sum()

    def smooth(self, distribution: Tensor) -> Tensor:
        """Return distributions ``(B, K)`` with the ``label_smoothing`` fraction spread over all classes."""
        return distribution.lerp(
            torch.full_like(distribution, 1 / distribution.shape[1]), self.label_smoothing
        )


class CrossEntropy(Loss):
    """Negative log-likelihood of the label; differs from torch only in how it weights distributions."""

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return ``-log p``."""
        return -logits.log_softmax(1)


class Focal(Loss):
    """Focal loss, which down-weights easy samples: ``-(1 - p)^gamma log p``.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, with a softmax. Class weights take the role of alpha in
    the paper.

    Args:
        gamma: Focusing parameter, 0 or more; 0 is cross-entropy.
        options: ``weight`` and ``label_smoothing``, as for `Loss`.
    """

    def __init__(self, gamma: float, **options: Any) -> None:
        super().__init__(**options)
        self.gamma = gamma

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return ``-(1 - p)^gamma log p``."""
        log_probs = logits.log_softmax(1)
        # The clamp keeps the gradient of a fractional power finite at a probability of 1.
        complement = (-log_probs.expm1()).clamp(min=torch.finfo(log_probs.dtype).tiny)
        return -complement.pow(self.gamma) * log_probs


class LogitAdjusted(Loss):
    """Cross-entropy with the log-frequency of each class added to its logit, in training only.

    The network learns the evidence for a class apart from its frequency, and predicts as for balanced data
    (Menon et al. 2021, https://arxiv.org/abs/2007.07314). With ``tau=1`` it is the balanced softmax of Ren et
    al. 2020, https://arxiv.org/abs/2007.10740.

    Args:
        counts: Training samples of each class, ``(K,)``; a class without samples counts as one, to keep its
            logarithm finite.
        tau: Strength, 0 or more; 0 is cross-entropy.
        label_smoothing: As for `Loss`.
    """

    offsets: Tensor

    def __init__(self, counts: Sequence[int], tau: float, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
        samples = torch.as_tensor(counts, dtype=torch.float32).clamp(min=1)
        self.register_buffer("offsets", tau * (samples / samples.sum()).log(), persistent=False)

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return ``-log p`` of the adjusted logits."""
        return -(logits + self.offsets).log_softmax(1)


def balanced_softmax(counts: Sequence[int], label_smoothing: float = 0.0) -> LogitAdjusted:
    """Return `LogitAdjusted` with ``tau=1``."""
    return LogitAdjusted(counts, 1.0, label_smoothing)


class GeneralisedCrossEntropy(Loss):
    """``(1 - p^q) / q``, for noisy labels: between cross-entropy (q to 0) and mean absolute error (q = 1).

    Zhang & Sabuncu 2018, https://arxiv.org/abs/1805.07836, without the truncated variant.

    Args:
        q: Robustness to noisy labels, in (0, 1]; a larger q gives less weight to unlikely labels.
        options: ``weight`` and ``label_smoothing``, as for `Loss`.
    """

    def __init__(self, q: float, **options: Any) -> None:
        super().__init__(**options)
        self.q = q

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return ``(1 - p^q) / q``."""
        return -(self.q * logits.log_softmax(1)).expm1() / self.q


class SymmetricCrossEntropy(Loss):
    """``alpha CE(label, p) + beta CE(p, label)``, for noisy labels: the second term is bounded.

    Wang et al. 2019, https://arxiv.org/abs/1908.06112. In the reverse cross-entropy the logarithm of a zero
    in the label is set to a constant A, which leaves ``-A (1 - p)``.

    Args:
        alpha: Weight of the cross-entropy, 0 or more.
        beta: Weight of the reverse cross-entropy, 0 or more.
        log_zero: The constant A, below 0.
        options: ``weight`` and ``label_smoothing``, as for `Loss`.
    """

    def __init__(self, alpha: float, beta: float, log_zero: float, **options: Any) -> None:
        super().__init__(**options)
        self.alpha, self.beta, self.log_zero = alpha, beta, log_zero

    def class_losses(self, logits: Tensor) -> Tensor:
        """Return ``-alpha log p - beta A (1 - p)``."""
        log_probs = logits.log_softmax(1)
        return self.beta * self.log_zero * log_probs.expm1() - self.alpha * log_probs


class SoftTargets(Loss):
    """Kullback-Leibler divergence from the annotators' votes; 0 where the model predicts their distribution.

    Barsoum et al. 2016, https://arxiv.org/abs/1608.01041, call it cross-entropy loss; the two differ by the
    entropy of the votes, which does not depend on the model. The weight of a sample is the mean weight of its
    voted classes. A sample without votes has weight 0, and a sample mixed with one has the weight of the part
    with votes. Votes already express uncertainty and rarely need label smoothing.
    """

    needs_votes = True

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return the votes."""
        assert votes is not None
        return votes

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean divergence."""
        log_probs = at_least_float32(logits).log_softmax(1)
        votes = to_distribution(target, log_probs)
        weight = votes.sum(1) if self.weight is None else votes @ self.weight.to(votes.dtype)
        distribution = votes / votes.sum(1, keepdim=True).clamp_min(_MIN_VOTES)
        divergence = F.kl_div(log_probs, self.smooth(distribution), reduction="none").sum(1)
        return (weight * divergence).sum() / weight.sum().clamp_min(_MIN_VOTES)


class ExpectedLabels(CrossEntropy):
    """Cross-entropy with labels that are partly replaced by the labels expected from annotators' votes.

    One label is noisier than ten votes, but votes collected under other rules differ from labels: a quarter
    of the images that FER+ calls neutral are sad in FER2013. So each vote is converted to the distribution of
    labels that occur with it in the training images (a transition matrix from votes to labels, as in Patrini
    et al. 2017, section 3, https://arxiv.org/abs/1609.03683). Every label keeps its frequency, and much of
    the noise averages out. Images without votes keep their label.

    Args:
        vote_share: Fraction of each label that is replaced, in [0, 1]; 0 is cross-entropy.
        label_given_vote: P(label | vote), ``(K, K)``, one row per voted emotion; rows sum to 1. None uses
            each vote as the label of the same name.
        options: ``weight`` and ``label_smoothing``, as for `Loss`.
    """

    needs_votes = True
    label_given_vote: Tensor | None

    def __init__(
        self,
        vote_share: float,
        label_given_vote: Sequence[Sequence[float]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.vote_share = vote_share
        table = None if label_given_vote is None else torch.tensor(label_given_vote, dtype=torch.float32)
        self.register_buffer("label_given_vote", table, persistent=False)

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return labels ``(B,)`` and votes ``(B, K)`` combined into one distribution ``(B, K)``."""
        assert votes is not None
        expected = votes if self.label_given_vote is None else votes @ self.label_given_vote
        # 0 for an image without votes.
        replaced = self.vote_share * votes.sum(1, keepdim=True)
        return (1 - replaced) * to_distribution(label, votes) + self.vote_share * expected


class OtherLoss(Loss):
    """A registered loss that is not a `Loss`: any function or module of logits and targets.

    Args:
        function: ``(logits (B, K) float32, target (B,) int64 or (B, K) float)`` to a scalar.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return self.function(at_least_float32(logits), target)


def at_least_float32(logits: Tensor) -> Tensor:
    """Return half-precision logits, as mixed precision produces them, in float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def to_distribution(target: Tensor, like: Tensor) -> Tensor:
    """Return labels ``(B,)`` or distributions ``(B, K)`` as distributions with the dtype of ``like``."""
    return (target if target.ndim == 2 else F.one_hot(target, like.shape[1])).to(like.dtype)
