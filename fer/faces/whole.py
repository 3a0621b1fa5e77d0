"""The detector `none`, for images that are already cropped faces."""

import numpy as np

from fer.faces.face import Face


class WholeImage:
    """Returns the entire image as one face; `fer.faces.crop.crop_faces` then takes its centered square."""

    name = "none"

    def __call__(self, image: np.ndarray) -> list[Face]:
        """Return one face that covers an RGB image, uint8 ``(H, W, 3)``."""
        height, width = image.shape[:2]
        return [Face((0, 0, width, height), 1.0)]
