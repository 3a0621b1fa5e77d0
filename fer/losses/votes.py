"""Losses that learn from the votes of several annotators."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.losses.loss import CrossEntropy, Loss, as_distribution, at_least_float32, expect

_NOBODY = 1e-6  # of a sum of votes: fewer are none


class SoftTargets(Loss):
    """Kullback-Leibler divergence from the annotators' votes: 0 where the model is as unsure as they are.

    Barsoum et al. 2016, https://arxiv.org/abs/1608.01041, who call it cross-entropy loss; the two differ by
    the votes' entropy, which no model changes. A sample weighs the mean weight of the classes voted for; one
    without a vote weighs nothing, and one mixed with such as much as the part that has votes.
    Votes say themselves how sure they are, and rarely need smoothing.

    Args:
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.
    """

    wants_votes = True

    def target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return the votes."""
        assert votes is not None
        return votes

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean divergence."""
        log_probs = at_least_float32(logits).log_softmax(1)
        shares = as_distribution(target, log_probs)
        weight = shares.sum(1) if self.weight is None else shares @ self.weight.to(shares.dtype)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(_NOBODY)
        divergence = F.kl_div(log_probs, self.smooth(shares), reduction="none").sum(1)
        return (weight * divergence).sum() / weight.sum().clamp_min(_NOBODY)


class ExpectedLabels(CrossEntropy):
    """Cross-entropy with labels of which a part is replaced by what the annotators' votes let expect.

    A label that one person gave in haste says less about a face than ten votes do. Votes that were cast under
    other rules are no labels, though: what FER+ calls neutral, FER2013 calls sad one time in four. So each
    vote counts as the labels that go with it over the training images (a transition matrix as in Patrini et
    al. 2017, section 3, https://arxiv.org/abs/1609.03683, from votes to labels): every label keeps its
    frequency, and much of its noise is averaged out. Images without a vote keep their label.

    Args:
        vote_share: Share of each label that is replaced, in [0, 1]; 0 is cross-entropy.
        label_given_vote: How often each label goes with a vote, ``(K, K)``, a row a vote; rows sum to 1.
            None takes each vote for its own label.
        weight: As for `Loss`.
        label_smoothing: As for `Loss`.

    Raises:
        FerError: A number is out of range.
    """

    wants_votes = True
    label_given_vote: Tensor | None

    def __init__(
        self,
        vote_share: float,
        label_given_vote: Sequence[Sequence[float]] | None = None,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        """Keep share and matrix."""
        super().__init__(weight, label_smoothing)
        expect(0.0 <= vote_share <= 1.0, "vote_share", "a number in [0, 1]", vote_share)
        self.vote_share = vote_share
        table = None if label_given_vote is None else torch.tensor(label_given_vote, dtype=torch.float32)
        self.register_buffer("label_given_vote", table, persistent=False)

    def target(self, label: Tensor, votes: Tensor | None) -> Tensor:
        """Return labels ``(B,)`` and votes ``(B, K)`` as one distribution ``(B, K)``."""
        assert votes is not None
        expected = votes if self.label_given_vote is None else votes @ self.label_given_vote
        replaced = self.vote_share * votes.sum(1, keepdim=True)  # nothing where nobody voted
        return (1 - replaced) * as_distribution(label, votes) + self.vote_share * expected
