"""A bundle whose model is known by heart: the mean colour of a face decides its emotion."""

from pathlib import Path

import numpy as np
import written_bundle

from fer.bundle.card import CropRule
from fer.faces.face import Face
from fer.labels import FER7

SIZE = 8
# Logits of a colour of 0 to 1: red is angry, green disgust, blue sad, black neutral.
WEIGHTS = np.zeros((3, 7), np.float32)
for _channel, _emotion in enumerate(("angry", "disgust", "sad")):
    WEIGHTS[_channel, FER7.index(_emotion)] = 8
BIAS = np.array([0, 0, 0, 0, 0, 0, 4], np.float32)


def expected(colour):
    """Probabilities of a face of one colour, computed without the model."""
    powers = np.exp(np.array(colour, float) / 255 @ WEIGHTS + BIAS)
    return powers / powers.sum()


def write_bundle(folder: Path, abstain_below: float | None = 0.6, name: str = "colours") -> Path:
    """Write a bundle of this model; return its folder."""
    rule = CropRule("centre", (), False, 0.5, 0.0)  # half of a patch: nothing of its neighbours
    about = {"name": name, "version": 3, "image_size": SIZE, "crop": rule, "abstain_below": abstain_below}
    written_bundle.write_bundle(folder, by=(WEIGHTS, BIAS), temperature=1.0, metrics={}, **about)
    return folder


class PatchDetector:
    """Finds the patches of a test picture: squares of one colour on white, each in a cell of 32 pixels."""

    name = "patches"

    def __call__(self, picture: np.ndarray) -> list[Face]:
        cells = [
            (x, y) for y in range(0, picture.shape[0] - 31, 32) for x in range(0, picture.shape[1] - 31, 32)
        ]
        return [Face((x, y, 32.0, 32.0), 0.9) for x, y in cells if (picture[y, x] != 255).any()]


def patches(*colours: tuple[int, int, int] | None) -> np.ndarray:
    """A picture of patches side by side; None leaves a cell white."""
    picture = np.full((32, 32 * max(1, len(colours)), 3), 255, np.uint8)
    for number, colour in enumerate(colours):
        if colour is not None:
            picture[:, 32 * number : 32 * (number + 1)] = colour
    return picture
