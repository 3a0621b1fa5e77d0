"""For pictures that hold a face and nothing else."""

import numpy as np

from fer.faces.face import Face


class WholePicture:
    """Takes each picture for one face; `fer.faces.crop.cut_faces` then takes its largest centred square."""

    name = "none"

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Return the one face that an RGB picture, uint8 ``(H, W, 3)``, is."""
        height, width = picture.shape[:2]
        return [Face((0, 0, width, height), 1.0)]
