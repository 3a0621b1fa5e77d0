"""Train, evaluate, search, export and serve facial emotion classifiers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.predict.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """Import `Predictor`, and with it OpenCV and ONNX Runtime, on first use: training does not need them."""
    if name == "Predictor":
        from fer.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
