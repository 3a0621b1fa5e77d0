"""Predictions of a model on a split, stored as predictions.npz: the input of all metrics."""

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from fer.analysis.about import About
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, from_dict, to_dict

# Errors of numpy and zipfile on a damaged or foreign file
_FILE_ERRORS = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
_READ_ERRORS = (KeyError, ValueError, TypeError, *_FILE_ERRORS)
_ARRAYS = ("index", "target", "logits", "probs", "source")


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model on N images, and their labels.

    Attributes:
        labels: The K emotions that the model can predict, in the order of the columns.
        index: int64 ``(N,)``, row in the data set.
        target: int64 ``(N,)``, true class numbers in ``labels``, 0 to K - 1.
        logits: float32 ``(N, K)``. With test-time augmentation or an ensemble: the log of the mean
            probabilities.
        probs: float32 ``(N, K)``, softmax of the logits, uncalibrated.
        votes: float32 ``(N, K)``, fraction of the human votes for each emotion; ``None`` without votes.
        source: str ``(N,)``, the file of each image, or ``"row 123"``.
        about: The run, the images, and how they were scored.
    """

    labels: LabelSpace
    index: np.ndarray
    target: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    votes: np.ndarray | None
    source: np.ndarray
    about: About = field(default_factory=About)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    @property
    def preds(self) -> np.ndarray:
        """Return the most probable emotion of each image, int64 ``(N,)``."""
        return self.probs.argmax(1)

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz`` of plain arrays, with ``about`` and ``labels`` as JSON strings."""
        strings = {"labels": json.dumps(to_dict(self.labels)), "about": json.dumps(self.about.to_dict())}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.votes is not None:
            arrays["votes"] = self.votes
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # A file object, as numpy appends .npz to a file name
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **strings, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read predictions written by `save`; nothing in the file is executed.

        Raises:
            FerError: The file is missing, truncated, or is not a predictions file.
        """
        path = Path(path)
        if not path.is_file():
            raise FerError(
                f"{path}: expected a file, got none. Run fer-evaluate; it writes "
                "RUN/report/SPLIT/predictions.npz."
            )
        try:
            with np.load(path, allow_pickle=False) as content:
                predictions = cls(**_read(content))
        except _READ_ERRORS as error:
            raise FerError(
                f"{path}: expected the predictions.npz of fer-evaluate, got a truncated file or another "
                f"format ({type(error).__name__}). Run fer-evaluate again."
            ) from error
        n, num_classes = len(predictions.index), len(predictions.labels)
        expected: dict[str, tuple[int, ...]] = {
            **dict.fromkeys(("target", "source"), (n,)),
            **dict.fromkeys(("logits", "probs", "votes"), (n, num_classes)),
        }
        for name, shape in expected.items():
            array = getattr(predictions, name)
            if array is not None and array.shape != shape:
                raise FerError(
                    f"{path}: expected {name} of shape {shape} for {n} images and {num_classes} emotions, "
                    f"got {array.shape}. Run fer-evaluate again."
                )
        return predictions


def _read(content: Any) -> dict[str, Any]:
    """Return the fields of `Predictions` from an open npz file."""
    arrays = {name: content[name] for name in _ARRAYS}
    labels, about = (json.loads(str(content[name])) for name in ("labels", "about"))
    votes = content.get("votes")
    return {**arrays, "votes": votes, "labels": from_dict(labels), "about": About.from_dict(about)}


class Images(Protocol):
    """Images, uint8 ``(N, H, W, C)`` with C 1 or 3 (RGB), in memory or decoded on request."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return ``(N, H, W, C)``."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: np.ndarray | slice, /) -> np.ndarray:
        """Return the selected images, ``(n, H, W, C)``."""
