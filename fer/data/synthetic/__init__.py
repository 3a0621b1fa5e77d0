"""Synthetic faces: rendered from parameters, labelled by construction, without real people."""

from fer.data.synthetic.drawing import SPLITS, face_at
from fer.data.synthetic.parameters import HAIR_STYLES, OCCLUDERS, FaceParameters
from fer.data.synthetic.reader import read_synthetic
from fer.data.synthetic.render import render_face
from fer.data.synthetic.sampling import sample_parameters

# Increase it whenever the rendered images change: cached data sets of other versions are rebuilt.
VERSION = 1

__all__ = [
    "HAIR_STYLES",
    "OCCLUDERS",
    "SPLITS",
    "VERSION",
    "FaceParameters",
    "face_at",
    "read_synthetic",
    "render_face",
    "sample_parameters",
]
