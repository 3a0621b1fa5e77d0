"""Build the loss that is named in the config, with class weights for imbalanced data."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.registry import LOSSES, Entry
from fer.core.signature import accepts, parameters
from fer.training.batches import Batch
from fer.training.config import RunConfig
from fer.training.distill import Distilled
from fer.training.losses import Loss, OtherLoss
from fer.training.recipe import EffectiveNumberConfig, ImbalanceConfig, LossConfig
from fer.training.sources import SourceAdjusted


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
    entry = LOSSES.get(config.name)
    _check_imbalance(entry, correction)
    given: dict[str, Any] = {"weight": _weight(correction, counts)} if accepts(entry.build, "weight") else {}
    facts = {"counts": counts, "label_given_vote": label_given_vote}
    given |= {name: value for name, value in facts.items() if name in parameters(entry.build)}
    return _checked(entry, entry.build(**given, **_options(entry, config)))


def build_training_loss(
    config: RunConfig, facts: Mapping[str, Any], classes: int
) -> Loss | SourceAdjusted | Distilled:
    """Build the loss of a run: that of the labels, adjusted to their sources, and that of the teachers.

    Args:
        config: The config of the run.
        facts: ``train_counts``, ``label_given_vote`` and ``source_counts`` of its data, each None if unknown.
        classes: Number of emotions.

    Raises:
        FerError: As `build_loss`.
    """
    counts, votes = facts["train_counts"] or [1] * classes, facts["label_given_vote"]
    labels = build_loss(config.loss, config.imbalance, counts, votes)
    strength, sources = config.loss.source_adjustment, facts.get("source_counts")
    loss = SourceAdjusted(labels, sources, strength) if strength and sources is not None else labels
    return Distilled(loss, config.distill) if config.distill else loss


def build_target(loss: Loss | SourceAdjusted | Distilled, batch: Batch) -> Tensor:
    """Return the target of a training batch for a loss of `build_training_loss`."""
    target = loss.build_target(batch["target"], batch.get("votes"))
    inner = loss.labels_loss if isinstance(loss, Distilled) else loss
    if isinstance(inner, SourceAdjusted) and "source" in batch:
        target = inner.join(target, batch["source"])
    if isinstance(loss, Distilled) and "teacher" in batch:
        target = loss.join(target, batch["teacher"])
    return target


def target_columns(config: RunConfig, classes: int) -> int:
    """Return the columns of a target that `build_target` returns as a distribution, to be mixed."""
    return classes * (1 + bool(config.distill) + bool(config.loss.source_adjustment))


def _check_imbalance(entry: Entry, correction: ImbalanceConfig) -> None:
    """Raise FerError if a loss takes no class weights, but the config asks for them."""
    if accepts(entry.build, "weight") or correction.name == "none":
        return
    # Losses that already correct for class frequency take counts instead of weights.
    if "counts" in parameters(entry.build):
        raise FerError(
            f"imbalance={correction.name}: expected none with loss={entry.name}, which already corrects for "
            "class imbalance. Use imbalance=none, or another loss."
        )
    if correction.name != "oversample":
        raise FerError(
            f"imbalance={correction.name}: expected none or oversample with loss={entry.name}, which takes "
            "no class weights. Use one of these, or give the loss a parameter weight."
        )


def _options(entry: Entry, config: LossConfig) -> dict[str, Any]:
    options = {name: value for name, value in config.options().items() if name != "source_adjustment"}
    if accepts(entry.build, "label_smoothing"):
        return options
    if config.label_smoothing:
        raise FerError(
            f"loss.label_smoothing: expected 0 with loss={entry.name}, which takes none, got "
            f"{config.label_smoothing}. Set it to 0, or give the loss a parameter label_smoothing."
        )
    return {name: value for name, value in options.items() if name != "label_smoothing"}


def _checked(entry: Entry, built: object) -> Loss:
    """Return what a loss's function or class returned as a `Loss`."""
    if not callable(built):
        raise FerError(
            f"loss={entry.name}: expected {entry.origin} to return a function or module of logits and "
            f"targets, got a {type(built).__name__}."
        )
    if isinstance(built, nn.Module) and any(True for _ in built.parameters()):
        raise FerError(
            f"loss={entry.name}: expected a loss without weights of its own, which no optimizer would train. "
            "Use buffers, or move the weights into the model."
        )
    return built if isinstance(built, Loss) else OtherLoss(built)


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
