"""The worst errors of a validation: images that the model classifies wrongly with the most confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Errors in each of the two lists, of which many are in both.
NUM_ERRORS = 16


@dataclass(frozen=True)
class ErrorSample:
    """A wrongly classified image.

    Attributes:
        index: Row of the image in the data set, as in the reports.
        image: uint8 ``(H, W, C)``, C 1 or 3.
        true, predicted: The emotions.
        confidence: Probability of the predicted emotion.
        true_probability: Probability of the true emotion.
        loss: Cross-entropy, in nats.
        reason: ``most certain``, ``highest loss`` or ``both``.
    """

    index: int
    image: np.ndarray
    true: str
    predicted: str
    confidence: float
    true_probability: float
    loss: float
    reason: str


class ErrorFinder:
    """Collect the predictions of a validation on its device, and find the worst errors when asked.

    Of several processes each collects its own part of the images.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def clear(self) -> None:
        """Forget all predictions."""
        self._batches = []

    def add(self, outputs: Mapping[str, Tensor] | None, batch: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            outputs: ``logits`` ``(B, K)`` and ``index`` ``(B,)`` as the validation step returns them; None if
                no image could be read.
            batch: With ``target``, ``(B,)`` or ``(B, K)``.
        """
        if outputs is not None:
            target = batch["target"] if batch["target"].ndim == 1 else batch["target"].argmax(1)
            self._batches.append((outputs["logits"].detach(), target, outputs["index"]))

    def find(self, images: Any, names: Sequence[str], count: int = NUM_ERRORS) -> list[ErrorSample]:
        """Return the most certain errors, and those with the highest loss, the most certain first.

        Args:
            images: The images of the data set, indexed by rows: an array, or files on disk.
            names: The emotions.
            count: Number of errors of each kind, at most.
        """
        if not self._batches:
            return []
        logits, target, index = (torch.cat(parts).cpu() for parts in zip(*self._batches, strict=True))
        log_probs = logits.double().log_softmax(1)
        confidence, predicted = log_probs.exp().max(1)
        loss = -log_probs.gather(1, target[:, None])[:, 0]
        errors = (predicted != target).nonzero()[:, 0]
        certain = errors[confidence[errors].argsort(descending=True, stable=True)]
        worst = errors[loss[errors].argsort(descending=True, stable=True)]
        first = {"most certain": certain[:count].tolist(), "highest loss": worst[:count].tolist()}
        chosen = sorted({*first["most certain"], *first["highest loss"]}, key=certain.tolist().index)
        pixels = images[index[chosen].numpy()] if chosen else []
        samples = []
        for row, image in zip(chosen, pixels, strict=True):
            reasons = [reason for reason, rows in first.items() if row in rows]
            samples.append(
                ErrorSample(
                    int(index[row]), np.asarray(image), names[int(target[row])], names[int(predicted[row])],
                    float(confidence[row]), float(log_probs[row, target[row]].exp()), float(loss[row]),
                    "both" if len(reasons) == 2 else reasons[0],
                )
            )  # fmt: skip
        return samples
