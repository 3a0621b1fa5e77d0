"""Train, evaluate, search, export and serve facial emotion classifiers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.models.checkpoint import load_checkpoint
    from fer.predict.predictor import Predictor

__all__ = ["Predictor", "load_checkpoint"]
# Imported on first use: a predictor needs no torch, and training neither OpenCV nor ONNX Runtime.
_MODULES = {"Predictor": "fer.predict.predictor", "load_checkpoint": "fer.models.checkpoint"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
