"""Which detector finds the faces."""

import os
from pathlib import Path

from fer.errors import FerError, did_you_mean
from fer.faces.download import fetch_yunet, yunet_in_cache
from fer.faces.face import Detector
from fer.faces.haar import Haar
from fer.faces.whole import WholePicture
from fer.faces.yunet import YuNet

DETECTORS = ("auto", "yunet", "haar", "mtcnn", "none")
YUNET_VARIABLE = "FER_YUNET_MODEL"


def choose_detector(name: str = "auto", model_file: str | Path | None = None) -> Detector:
    """Return a face detector.

    - ``auto``: YuNet where its file is given, named by ``FER_YUNET_MODEL`` or in the user's cache, else Haar.
      Nothing is downloaded.
    - ``yunet``: the best of them, with points; its file is downloaded into the user's cache where it is not
      there.
    - ``haar``: comes with OpenCV; frontal faces only, no points.
    - ``mtcnn``: with points; needs the extra ``faces`` (PyTorch).
    - ``none``: each picture is a face already.

    Args:
        name: One of these.
        model_file: YuNet's ONNX file.

    Returns:
        The detector; its ``name`` says which ``auto`` became.

    Raises:
        FerError: No such detector, a file that is missing, cannot be downloaded or is no YuNet, a file for a
            detector that takes none, or the extra is not installed.
    """
    if name not in DETECTORS:
        hint = did_you_mean(name, DETECTORS)
        raise FerError(f"Expected a face detector out of {', '.join(DETECTORS)}, got {name!r}.{hint}")
    if model_file is not None and name not in ("auto", "yunet"):
        raise FerError(f"The face detector {name} takes no file, got {model_file}. Use --detector yunet.")
    if name == "auto":
        file = model_file or _named_by_user() or yunet_in_cache()
        return YuNet(file) if file else Haar()
    if name == "yunet":
        return YuNet(model_file or _named_by_user() or fetch_yunet())
    return {"haar": Haar, "mtcnn": _mtcnn, "none": WholePicture}[name]()


def _named_by_user() -> str | None:
    return os.environ.get(YUNET_VARIABLE) or None


def _mtcnn() -> Detector:
    from fer.faces.mtcnn import Mtcnn

    return Mtcnn()
