"""Synthetic faces: rendered from parameters, labelled by construction, without real people."""

from fer.data.synthetic.dataset import SPLITS, face_at, read_synthetic
from fer.data.synthetic.parameters import FaceParameters, sample_parameters
from fer.data.synthetic.render import render_face

# Increase it whenever the rendered images change: cached datasets of other versions are rebuilt.
VERSION = 1

__all__ = [
    "SPLITS",
    "VERSION",
    "FaceParameters",
    "face_at",
    "read_synthetic",
    "render_face",
    "sample_parameters",
]
