"""A bundle with a known model: the mean color of a face determines its emotion."""

from pathlib import Path

import numpy as np
import tiny_bundle

from fer.bundle.card import CropRule
from fer.core.labels import FER7
from fer.faces.base import Face

SIZE = 8
# Logits for a color from 0 to 1: red is angry, green disgust, blue sad, black neutral.
WEIGHTS = np.zeros((3, 7), np.float32)
for _channel, _emotion in enumerate(("angry", "disgust", "sad")):
    WEIGHTS[_channel, FER7.index(_emotion)] = 8
BIAS = np.array([0, 0, 0, 0, 0, 0, 4], np.float32)


def expected(color):
    """Return the probabilities for a face of one color, computed without the model."""
    exponentials = np.exp(np.array(color, float) / 255 @ WEIGHTS + BIAS)
    return exponentials / exponentials.sum()


def write_bundle(folder: Path, abstain_below: float | None = 0.6, name: str = "colours") -> Path:
    """Write a bundle of this model; return its folder."""
    # Half of a patch, so that the crop includes nothing of its neighbors.
    rule = CropRule("centre", (), False, 0.5, 0.0)
    card = {"name": name, "version": 3, "image_size": SIZE, "crop": rule, "abstain_below": abstain_below}
    tiny_bundle.write_bundle(folder, weights=(WEIGHTS, BIAS), temperature=1.0, metrics={}, **card)
    return folder


class PatchDetector:
    """Detects the patches of a test image: squares of one color on white, each in a cell of 32 pixels."""

    name = "patches"

    def __call__(self, image: np.ndarray) -> list[Face]:
        cells = [(x, y) for y in range(0, image.shape[0] - 31, 32) for x in range(0, image.shape[1] - 31, 32)]
        return [Face((x, y, 32.0, 32.0), 0.9) for x, y in cells if (image[y, x] != 255).any()]


def patches(*colors: tuple[int, int, int] | None) -> np.ndarray:
    """Return an image of adjacent patches; None leaves a cell white."""
    image = np.full((32, 32 * max(1, len(colors)), 3), 255, np.uint8)
    for number, color in enumerate(colors):
        if color is not None:
            image[:, 32 * number : 32 * (number + 1)] = color
    return image
