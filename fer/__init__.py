"""Facial emotion recognition that holds up: train, judge, search, export and serve."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """Load `Predictor`, with OpenCV and ONNX Runtime, when it is asked for: training does without them."""
    if name == "Predictor":
        from fer.predict import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
