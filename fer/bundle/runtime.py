"""Run the model of a bundle with ONNX Runtime: face crops in, probabilities out. No torch."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from fer.bundle.files import Bundle, read_bundle
from fer.bundle.providers import OpenVinoSession, choose_device, create_session
from fer.core.errors import FerError

# Names of the graph's input and outputs.
FACES, PROBABILITIES, ATTENTION = "faces", "probabilities", "attention"
# Larger batches are not faster and take more memory.
BATCH_SIZE = 64
Session: TypeAlias = "ort.InferenceSession | OpenVinoSession"


class OnnxClassifier:
    """The model of a bundle, ready to run. Thread-safe.

    It can be pickled, for other processes: as the folder of its bundle, from which it is loaded again.

    Args:
        bundle: From `fer.bundle.files.read_bundle`.
        threads: CPU threads per call; None: all cores.
        device: One of `fer.core.device.DEVICES`.

    Attributes:
        card: The bundle's card.
        device: The device that is used.

    Raises:
        FerError: ONNX Runtime cannot run the model, its labels or input size differ from the card, or the
            device is not installed.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, device: str | None = None) -> None:
        self.card, self.device = bundle.card, choose_device(device)
        # Absolute now: the working folder may change before the object is pickled.
        self._bundle, self._threads = Bundle(bundle.folder.absolute(), bundle.card), threads
        self._session = open_session(bundle.model_path, threads, self.device)
        _check_labels(self._session, bundle)
        _check_size(self._session, bundle)

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Return the probability of each emotion.

        Args:
            faces: uint8 ``(N, S, S, 3)``, RGB, cropped by the card's crop rule, S its ``image_size``.

        Returns:
            float32 ``(N, K)``, calibrated, in the order of the card's labels; rows sum to 1.

        Raises:
            FerError: The faces have the wrong shape or dtype.
        """
        return self._run(PROBABILITIES, faces, (len(self.card.labels),))

    def attention(self, faces: np.ndarray) -> np.ndarray | None:
        """Return the attention maps, float32 ``(N, S, S)`` in [0, 1]; None if the model has no attention.

        Args:
            faces: As for `__call__`.
        """
        if not self.card.attention:
            return None
        return self._run(ATTENTION, faces, (self.card.image_size, self.card.image_size))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to load the same model in another process."""
        return _load_classifier, (self._bundle, self._threads, self.device)

    def _run(self, output: str, faces: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        self._check(faces)
        values = np.empty((len(faces), *shape), np.float32)
        for start in range(0, len(faces), BATCH_SIZE):
            batch = np.ascontiguousarray(faces[start : start + BATCH_SIZE])
            values[start : start + BATCH_SIZE] = self._session.run([output], {FACES: batch})[0]
        return values

    def _check(self, faces: np.ndarray) -> None:
        side = self.card.image_size
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (side, side, 3):
            raise FerError(
                f"{self.card.name}: expected faces as uint8 (N, {side}, {side}, 3) in RGB, got {faces.dtype} "
                f"{faces.shape}. fer.faces.crop.crop_faces makes them from an image."
            )


def _load_classifier(bundle: Bundle, threads: int | None, device: str | None = None) -> OnnxClassifier:
    """Load a pickled classifier.

    Raises:
        FerError: The bundle is not in its folder any more, or has another model.
    """
    expected, stored = (each.card.model["sha256"] for each in (bundle, read_bundle(bundle.folder)))
    if stored != expected:
        raise FerError(
            f"{bundle.model_path}: expected the model that was pickled, with SHA-256 {expected[:12]}…, got "
            f"{stored[:12]}…. Create the Predictor again."
        )
    return OnnxClassifier(bundle, threads, device)


def open_session(model: Path, threads: int | None = None, device: str = "cpu") -> Session:
    """Load an ONNX file for inference.

    Args:
        model: Path of the file.
        threads: CPU threads per call; None: all cores.
        device: One of `fer.core.device.DEVICES`.

    Raises:
        FerError: ONNX Runtime cannot load the file, or the device is not installed.
    """
    used = choose_device(device)
    try:
        return create_session(model, threads, used)
    except FerError:
        raise
    # ONNX Runtime's exceptions have no common base class.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        where = "" if used == "cpu" else f" on {used}"
        raise FerError(
            f"{model}: ONNX Runtime {ort.__version__} cannot run this model{where} ({reason}). Export it "
            "again, or install the version of ONNX Runtime that the card names."
        ) from error


def _check_labels(session: Session, bundle: Bundle) -> None:
    """Check that graph and card have the same emotions in the same order."""
    stored = session.get_modelmeta().custom_metadata_map.get("labels", "[]")
    try:
        names = json.loads(stored)
    except ValueError:
        names = stored
    expected = bundle.card.labels.names
    if names != list(expected):
        raise FerError(
            f"{bundle.model_path}: expected the labels of the card ({', '.join(expected)}), in its order, "
            f"got a model with {stored}. Card and model are not from the same export; export again."
        )


def _check_size(session: Session, bundle: Bundle) -> None:
    """Check that the graph's input size is that of the card."""
    side, shape = bundle.card.image_size, session.get_inputs()[0].shape[1:]
    if shape != [side, side, 3]:
        raise FerError(
            f"{bundle.model_path}: expected images of {side} x {side} x 3 as on the card, got a model for "
            f"{' x '.join(map(str, shape))}. Card and model are not from the same export; export again."
        )
