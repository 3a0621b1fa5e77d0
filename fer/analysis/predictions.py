"""What a model said of a split, as arrays: the one thing that every figure of a report is computed from."""

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from fer.errors import FerError
from fer.labels import LabelSpace, from_dict, to_dict

_DAMAGE = (KeyError, ValueError, OSError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
_ARRAYS = ("index", "target", "logits", "probs", "source")


@dataclass(frozen=True)
class Predictions:
    """What a model said of N images, and what is true.

    Attributes:
        labels: The K emotions that the model can say, in the order of the columns.
        index: int64 ``(N,)``, row in the data set.
        target: int64 ``(N,)``, class numbers in ``labels``, 0 to K - 1.
        logits: float32 ``(N, K)``. With test-time augmentation or an ensemble: log of the mean probabilities.
        probs: float32 ``(N, K)``, softmax of the logits, uncalibrated.
        votes: float32 ``(N, K)``, share of the human votes for each emotion; ``None`` where there are none.
        source: str ``(N,)``, the file of each image, or ``"row 123"``.
        about: Plain JSON values: ``run``, ``checkpoint``, ``epoch``, ``seed``, ``model_sha256``,
            ``recipe_sha256``, ``role`` and ``split`` (its published name), ``data``, ``manifest`` of the
            images, ``trained_on`` (the manifest of the training), ``tta``, ``temperature``, ``created`` …
    """

    labels: LabelSpace
    index: np.ndarray
    target: np.ndarray
    logits: np.ndarray
    probs: np.ndarray
    votes: np.ndarray | None
    source: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    @property
    def preds(self) -> np.ndarray:
        """Return the most probable emotion of each image, int64 ``(N,)``."""
        return self.probs.argmax(1)

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz`` of plain arrays; ``about`` and ``labels`` are JSON texts in it."""
        texts = {"labels": json.dumps(to_dict(self.labels)), "about": json.dumps(self.about)}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.votes is not None:
            arrays["votes"] = self.votes
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("wb") as file:  # a file object, as numpy would append .npz to a name
            np.savez_compressed(file, allow_pickle=False, **texts, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            FerError: The file is missing, cut off, or holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise FerError(f"{path}: there is no such file. fer-evaluate writes it as RUN/report/SPLIT/.")
        try:
            with np.load(path, allow_pickle=False) as content:
                found = cls(**_read(content))
        except _DAMAGE as error:
            raise FerError(
                f"{path}: expected the predictions.npz of fer-evaluate, but the file is cut off or of another"
                f" kind ({type(error).__name__}). Write it again with fer-evaluate."
            ) from error
        found._check(path)
        return found

    def _check(self, path: Path) -> None:
        """Refuse arrays that do not fit together."""
        n, num_classes = len(self.index), len(self.labels)
        expected: dict[str, tuple[int, ...]] = {
            **dict.fromkeys(("target", "source"), (n,)),
            **dict.fromkeys(("logits", "probs", "votes"), (n, num_classes)),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise FerError(
                    f"{path}: expected {name} of shape {shape} beside {n} images and {num_classes} emotions, "
                    f"got {array.shape}. The file was changed; write it again with fer-evaluate."
                )


def _read(content: Any) -> dict[str, Any]:
    arrays = {name: content[name] for name in _ARRAYS}
    labels, about = (json.loads(str(content[name])) for name in ("labels", "about"))
    votes = content.get("votes")
    return {**arrays, "votes": votes, "labels": from_dict(labels), "about": about}
