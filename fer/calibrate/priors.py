"""Class priors: how often each emotion occurs where a model is used, and how its answers change with it.

A model has learned how often emotions occur in its training data. Elsewhere they occur at other frequencies.
Saerens, Latinne and Decaestecker 2002 (https://doi.org/10.1162/089976602753284446) estimate them from the
model's probabilities for images of the new place, without labels, by expectation maximisation; the corrected
probabilities are proportional to the old ones times the ratio of the frequencies.

What a model has learned is not quite how often each occurs in its training data: it may name a rare emotion
too seldom. With the mean of its calibrated probabilities on validation instead, the frequencies that are
estimated on images like those are the same, and no answer changes (Alexandari, Kundaje and Shrikumar 2020,
https://arxiv.org/abs/1901.06852).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.bundle.card import MEAN_PROBS, Card, model_name, trainings, validation_metrics
from fer.core.errors import FerError

_MAX_ROUNDS, _TOLERANCE = 1000, 1e-7
# Losses and samplings of which the model learns that all emotions are equally frequent.
_BALANCED = ("class_weights", "oversample", "balanced_softmax")


@dataclass(frozen=True)
class Expected:
    """What a model expects.

    Attributes:
        priors: ``(K,)``, frequencies of the emotions; the sum is 1.
        temperature: Temperature with which they are the mean of its probabilities.
        is_measured: Whether they are that mean, on the validation split; otherwise they are from the
            training.
    """

    priors: np.ndarray
    temperature: float
    is_measured: bool


def expected_priors(card: Card) -> Expected:
    """Return the frequencies that a model has learned.

    Of a card without the mean of the probabilities, they are the frequencies in the training split, changed
    by what balances them: weights, oversampling, or a loss that adjusts logits.

    Raises:
        FerError: The card has neither, or an emotion had no training image.
    """
    if (earlier := (card.export.get("recalibration") or {}).get("expected")) is not None:
        return Expected(np.array(earlier["priors"]), earlier["temperature"], earlier["is_measured"])
    if (mean := validation_metrics(card).get(MEAN_PROBS)) is not None:
        return Expected(np.array(mean) / np.sum(mean), card.temperature, True)
    priors = np.mean([_training_priors(card, training) for training in trainings(card)], axis=0)
    return Expected(priors, card.temperature, False)


def _training_priors(card: Card, training: Mapping[str, Any]) -> np.ndarray:
    splits = (training.get("manifest") or {}).get("splits") or {}
    counts = splits.get("train", {}).get("class_counts") or {}
    numbers = np.array([counts.get(name, 0) for name in card.labels.names], np.float64)
    if not (numbers > 0).all():
        missing = [name for name, count in zip(card.labels.names, numbers, strict=True) if not count > 0]
        raise FerError(
            f"--priors: expected the number of training images of each emotion on the card of "
            f"{model_name(card)}, got none of {', '.join(missing)}. Omit --priors."
        )
    weights = numbers / numbers.sum()
    recipe = training.get("recipe") or {}
    imbalance, loss = recipe.get("imbalance") or {}, recipe.get("loss") or {}
    if {imbalance.get("name"), loss.get("name")} & set(_BALANCED):
        weights = np.ones_like(weights)
    elif imbalance.get("name") == "effective_number":
        # The weight of an image is the inverse of the effective number of its emotion (Cui et al. 2019).
        weights = numbers / (1 - np.float64(imbalance.get("beta", 0.999)) ** numbers)
    elif loss.get("name") == "logit_adjustment":
        weights = weights ** (1 - float(loss.get("tau", 1.0)))
    return weights / weights.sum()


def estimate_priors(probs: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the frequencies of the emotions among images, float64 ``(K,)``.

    A posterior mode instead of the likelihood's: as if K more images had the frequencies of ``source``, so
    that no emotion gets a frequency of 0, which would exclude it.

    Args:
        probs: ``(N, K)``, probabilities under ``source``.
        source: ``(K,)``, frequencies that the model has learned, each above 0.
    """
    n, num_classes = probs.shape
    ratio, priors = probs / source, np.array(source, np.float64)
    for _ in range(_MAX_ROUNDS):
        weighted = ratio * priors
        expected = (weighted / weighted.sum(1, keepdims=True)).sum(0)
        new = (expected + num_classes * source) / (n + num_classes)
        change, priors = np.abs(new - priors).max(), new
        if change < _TOLERANCE:
            break
    return priors


def log_prior_ratio(priors: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return what is added to logits when frequencies change, float64 ``(K,)`` with a mean of 0."""
    ratio: np.ndarray = np.log(priors) - np.log(source)
    return ratio - ratio.mean()
