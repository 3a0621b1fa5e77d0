"""Losses that train on the votes of several annotators."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.losses.loss import CrossEntropy, Loss, at_least_float32, check_option, to_distribution

# A smaller sum of votes counts as no votes.
_MIN_VOTES = 1e-6


class SoftTargets(Loss):
    """Kullback-Leibler divergence from the annotators' votes; 0 where the model predicts their distribution.

    Barsoum et al. 2016, https://arxiv.org/abs/1608.01041, call it cross-entropy loss; the two differ by the
    entropy of the votes, which does not depend on the model. The weight of a sample is the mean weight of its
    voted classes. A sample without votes has weight 0, and a sample mixed with one has the weight of the part
    with votes. Votes already express uncertainty and rarely need label smoothing.

    Args:
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.
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

    One label is noisier than ten votes, but votes under other rules are not the same labels: a quarter of the
    images that FER+ calls neutral are sad in FER2013. So each vote is converted to the distribution of labels
    that occur with it in the training images (a transition matrix from votes to labels, as in Patrini et al.
    2017, section 3, https://arxiv.org/abs/1609.03683). Every label keeps its frequency, and much of the noise
    averages out. Images without votes keep their label.

    Args:
        vote_share: Fraction of each label that is replaced, in [0, 1]; 0 is cross-entropy.
        label_given_vote: P(label | vote), ``(K, K)``, one row per voted emotion; rows sum to 1. None uses
            each vote as the label of the same name.
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    needs_votes = True
    label_given_vote: Tensor | None

    def __init__(
        self,
        vote_share: float,
        label_given_vote: Sequence[Sequence[float]] | None = None,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        """Store the fraction and the matrix."""
        super().__init__(weight, label_smoothing)
        check_option(0.0 <= vote_share <= 1.0, "vote_share", "a number in [0, 1]", vote_share)
        self.vote_share = vote_share
        table = None if label_given_vote is None else torch.tensor(label_given_vote, dtype=torch.float32)
        self.register_buffer("label_given_vote", table, persistent=False)

    def build_target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return labels ``(B,)`` and votes ``(B, K)`` combined into one distribution ``(B, K)``."""
        assert votes is not None
        expected = votes if self.label_given_vote is None else votes @ self.label_given_vote
        # Zero for an image without votes.
        replaced = self.vote_share * votes.sum(1, keepdim=True)
        return (1 - replaced) * to_distribution(label, votes) + self.vote_share * expected
