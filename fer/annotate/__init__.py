"""Draw predictions into an image."""

from fer.annotate.drawing import draw

__all__ = ["draw"]
