"""Find the landmarks of cropped faces, which fill their images more than detectors expect."""

import os

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.faces.base import Detector
from fer.faces.detectors import YUNET_ENV_VAR
from fer.faces.yunet import ADVICE, YuNet, fetch_yunet

# Side of the enlarged face, and gray border on each side, in pixels; tried in turn until a face is found. On
# FER2013 YuNet finds 94 % with the first, and 97 % with all of them.
_VIEWS = ((144, 36), (160, 80), (128, 96))
_GRAY = (127, 127, 127)


def find_landmarks(detector: Detector, face: np.ndarray) -> np.ndarray | None:
    """Return five landmarks of a cropped face, float32 ``(5, 2)``, or None if the detector finds no face.

    Args:
        detector: A detector with landmarks, such as `fer.faces.yunet.YuNet`.
        face: Square image, uint8 ``(S, S, 1 or 3)``, gray or RGB.

    Returns:
        Fractions of the image: ``(0, 0)`` is its upper left corner, ``(1, 1)`` its lower right one. By their
        position in an upright face: left eye, right eye, tip of the nose, left and right corner of the mouth.
    """
    image = np.broadcast_to(face, (*face.shape[:2], 3))
    for side, border in _VIEWS:
        shrinks = side < max(face.shape[:2])
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        view = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=method)
        view = cv2.copyMakeBorder(view, border, border, border, border, cv2.BORDER_CONSTANT, value=_GRAY)
        found = [one for one in detector(view) if one.points is not None]
        if found:
            best = max(found, key=lambda one: one.score)
            assert best.points is not None
            return ((best.points - border) / side).astype(np.float32)
    return None


def landmark_detector(key: str) -> YuNet:
    """Return YuNet, from ``FER_YUNET_MODEL`` or the user's cache, or downloaded.

    Args:
        key: Option that asks for it, for messages.

    Raises:
        FerError: There is no such file, it is another one, or it cannot be downloaded.
    """
    try:
        return YuNet(os.environ.get(YUNET_ENV_VAR) or fetch_yunet())
    except FerError as error:
        reason = str(error).removesuffix(ADVICE).rstrip()
        raise FerError(
            f"{key}=yunet: {reason} Set {YUNET_ENV_VAR} to YuNet's file, or give a file of landmarks: "
            f"{key}=FILE."
        ) from None
