"""Draw into a picture what the model says of its faces."""

from fer.annotate.drawing import draw

__all__ = ["draw"]
