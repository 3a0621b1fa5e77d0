"""Synthetic faces: drawn by parameters, labelled by construction, no download and no real person."""

from fer.data.synthetic.drawing import SPLITS, face_at
from fer.data.synthetic.parameters import HAIR_STYLES, OCCLUDERS, FaceParameters
from fer.data.synthetic.reader import read_synthetic
from fer.data.synthetic.render import render_face
from fer.data.synthetic.sampling import sample_parameters

VERSION = 1  # of the pictures; a new number makes caches of older ones stale

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
