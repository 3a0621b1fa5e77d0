"""Choose a face detector by name."""

import os
from pathlib import Path

from fer.errors import FerError, did_you_mean
from fer.faces.download import fetch_yunet, yunet_in_cache
from fer.faces.face import Detector
from fer.faces.haar import Haar
from fer.faces.whole import WholeImage
from fer.faces.yunet import YuNet

DETECTORS = ("auto", "yunet", "haar", "mtcnn", "none")
YUNET_ENV_VAR = "FER_YUNET_MODEL"


def choose_detector(name: str = "auto", model_file: str | Path | None = None) -> Detector:
    """Return a face detector.

    - ``auto``: YuNet if its file is given, set by ``FER_YUNET_MODEL`` or in the user's cache; else Haar.
      Nothing is downloaded.
    - ``yunet``: the most accurate, with landmarks. Its file is downloaded to the user's cache if needed.
    - ``haar``: included in OpenCV; frontal faces only, no landmarks.
    - ``mtcnn``: with landmarks; needs the extra ``faces`` (PyTorch).
    - ``none``: each image already is a cropped face.

    Args:
        name: One of these names.
        model_file: YuNet's ONNX file.

    Returns:
        The detector; its ``name`` tells what ``auto`` chose.

    Raises:
        FerError: An unknown name, a file that is missing, cannot be downloaded or is not YuNet, a file for a
            detector that takes none, or the extra is not installed.
    """
    if name not in DETECTORS:
        hint = did_you_mean(name, DETECTORS)
        raise FerError(f"--detector: expected one of {', '.join(DETECTORS)}, got {name!r}.{hint}")
    if model_file is not None and name not in ("auto", "yunet"):
        raise FerError(
            f"--detector-model: the detector {name} takes no file, got {model_file}. Use --detector yunet."
        )
    if name == "auto":
        file = model_file or _path_from_environment() or yunet_in_cache()
        return YuNet(file) if file else Haar()
    if name == "yunet":
        return YuNet(model_file or _path_from_environment() or fetch_yunet())
    return {"haar": Haar, "mtcnn": _mtcnn, "none": WholeImage}[name]()


def _path_from_environment() -> str | None:
    return os.environ.get(YUNET_ENV_VAR) or None


def _mtcnn() -> Detector:
    from fer.faces.mtcnn import Mtcnn

    return Mtcnn()
