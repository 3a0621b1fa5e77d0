"""Build a loss from its options, with class weights for imbalanced data (`fer.losses.class_weights`)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from fer.errors import FerError, did_you_mean
from fer.losses.class_weights import class_weights, effective_number_weights
from fer.losses.loss import (
    CrossEntropy,
    Focal,
    GeneralisedCrossEntropy,
    LogitAdjusted,
    Loss,
    SymmetricCrossEntropy,
)
from fer.losses.votes import ExpectedLabels, SoftTargets

WEIGHTED: dict[str, Callable[..., Loss]] = {
    "cross_entropy": CrossEntropy,
    "expected_labels": ExpectedLabels,
    "focal": Focal,
    "generalised_cross_entropy": GeneralisedCrossEntropy,
    "soft_targets": SoftTargets,
    "symmetric_cross_entropy": SymmetricCrossEntropy,
}
# Losses that already correct for class frequency, and so take counts instead of weights.
ADJUSTED: dict[str, Callable[..., Loss]] = {
    "balanced_softmax": partial(LogitAdjusted, tau=1.0),
    "logit_adjustment": LogitAdjusted,
}
LOSSES = WEIGHTED | ADJUSTED
IMBALANCE_METHODS = ("none", "class_weights", "effective_number", "oversample")


def build_loss(
    config: Mapping[str, Any],
    imbalance: Mapping[str, Any],
    counts: Sequence[int],
    label_given_vote: Sequence[Sequence[float]] | None = None,
) -> Loss:
    """Build the loss named in the config.

    Args:
        config: ``name`` (one of `LOSSES`) and the options of that loss.
        imbalance: ``name`` (one of `IMBALANCE_METHODS`), and ``beta`` for ``effective_number``; the data
            loader implements ``oversample``.
        counts: Training samples of each class, ``(K,)``.
        label_given_vote: Transition matrix for `ExpectedLabels`, ``(K, K)``; None for data without votes.

    Raises:
        FerError: A name or option is unknown, a number is out of range, or both the loss and ``imbalance``
            correct for imbalance.
    """
    options = dict(config)
    name = options.pop("name")
    _expect_one_of("loss.name", name, LOSSES)
    weight = _weight(imbalance, counts)
    if name in ADJUSTED:
        _check_single_correction(name, imbalance["name"])
        options["counts"] = counts
    else:
        options["weight"] = weight
    if name == "expected_labels":
        options["label_given_vote"] = label_given_vote
    try:
        return LOSSES[name](**options)
    except TypeError as error:
        raise FerError(f"loss={name} does not take these options: {error}.") from error


def _weight(imbalance: Mapping[str, Any], counts: Sequence[int]) -> Tensor | None:
    _expect_one_of("imbalance.name", imbalance["name"], IMBALANCE_METHODS)
    if imbalance["name"] == "class_weights":
        return class_weights(counts)
    if imbalance["name"] == "effective_number":
        return effective_number_weights(counts, imbalance["beta"])
    return None


def _check_single_correction(loss: str, imbalance: str) -> None:
    if imbalance != "none":
        raise FerError(
            f"imbalance={imbalance}: expected none with loss={loss}, which already corrects for class "
            "imbalance. Use imbalance=none, or another loss."
        )


def _expect_one_of(key: str, value: str, options: Mapping[str, Any] | Sequence[str]) -> None:
    if value not in options:
        hint = did_you_mean(str(value), options)
        raise FerError(f"{key}: expected one of {', '.join(options)}, got {value!r}.{hint}")
