"""The model of a bundle, run by ONNX Runtime: faces in, probabilities out. No torch."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort

from fer.bundle.files import Bundle
from fer.errors import FerError

FACES, PROBABILITIES, ATTENTION = "faces", "probabilities", "attention"  # names of the graph's ends
PORTION = 64  # faces at a time: more are no faster, and take more memory
_ERRORS_ONLY = 3  # of ONNX Runtime's levels: it warns of what a user cannot change


class OnnxClassifier:
    """A bundle's model, ready to run. May be called from several threads at once.

    Args:
        bundle: From `fer.bundle.files.read_bundle`.
        threads: Processors that one call may use; None takes all.

    Attributes:
        card: What the model is.

    Raises:
        FerError: ONNX Runtime cannot run the model, or it takes or gives something else than the card says.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.card = bundle.card
        self._session = open_session(bundle.model_path, threads)
        _check_labels(self._session, bundle)
        _check_size(self._session, bundle)

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Return how probable each emotion is.

        Args:
            faces: uint8 ``(N, S, S, 3)``, RGB, cut out as the card's crop rule says, S its ``image_size``.

        Returns:
            float32 ``(N, K)``, calibrated, in the order of the card's labels; rows sum to 1.

        Raises:
            FerError: The pictures are of another size or kind.
        """
        return self._run(PROBABILITIES, faces, (len(self.card.labels),))

    def attention(self, faces: np.ndarray) -> np.ndarray | None:
        """Return where the model looks, float32 ``(N, S, S)`` in 0 to 1; None where it cannot tell.

        Args:
            faces: As for a call.
        """
        if not self.card.attention:
            return None
        return self._run(ATTENTION, faces, (self.card.image_size, self.card.image_size))

    def _run(self, output: str, faces: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        self._check(faces)
        found = np.empty((len(faces), *shape), np.float32)
        for start in range(0, len(faces), PORTION):
            part = np.ascontiguousarray(faces[start : start + PORTION])
            found[start : start + PORTION] = self._session.run([output], {FACES: part})[0]
        return found

    def _check(self, faces: np.ndarray) -> None:
        side = self.card.image_size
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (side, side, 3):
            raise FerError(
                f"{self.card.name}: expected faces as uint8 (N, {side}, {side}, 3) in RGB, got {faces.dtype} "
                f"{faces.shape}. fer.faces.crop.cut_faces makes such ones of a picture."
            )


def open_session(model: Path, threads: int | None = None) -> ort.InferenceSession:
    """Load an ONNX file to run on the CPU.

    Args:
        model: The file.
        threads: Processors that one call may use; None takes all.

    Raises:
        FerError: ONNX Runtime refuses it.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # Threads that wait busily for the next faces would take the cores from those that look for them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its many exceptions have no parent of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FerError(
            f"{model}: ONNX Runtime {ort.__version__} cannot run this model ({reason}). Export it again, or "
            "install the version of ONNX Runtime that the card names."
        ) from error


def _check_labels(session: ort.InferenceSession, bundle: Bundle) -> None:
    """Make sure that graph and card name the same emotions in the same order."""
    told = session.get_modelmeta().custom_metadata_map.get("labels", "[]")
    try:
        names = json.loads(told)
    except ValueError:
        names = told
    expected = bundle.card.labels.names
    if names != list(expected):
        raise FerError(
            f"{bundle.model_path}: expected the emotions of the card in its order ({', '.join(expected)}), "
            f"got a model of {told}. Card and model are not of one export; export it again."
        )


def _check_size(session: ort.InferenceSession, bundle: Bundle) -> None:
    """Make sure that the graph takes pictures of the size on the card."""
    side, taken = bundle.card.image_size, session.get_inputs()[0].shape[1:]
    if taken != [side, side, 3]:
        raise FerError(
            f"{bundle.model_path}: expected pictures of {side} x {side} x 3 as on the card, got a model "
            f"of {' x '.join(map(str, taken))}. Card and model are not of one export; export it again."
        )
