"""Train, evaluate, search, export and serve facial emotion classifiers.

The functions take the options of the command lines. An error that the user can fix is a `FerError`. Each
name is imported on first use: a predictor needs no torch, and training needs no ONNX Runtime.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.bundle.files import Bundle
    from fer.core.errors import FerError
    from fer.data.arrays import from_arrays
    from fer.data.datamodule import EmotionDataModule
    from fer.data.register import register_augmentation, register_reader
    from fer.evaluation.compare import compare
    from fer.evaluation.evaluate import evaluate
    from fer.evaluation.results import Comparison, Report
    from fer.evaluation.trainer_ledger import TestLedger
    from fer.export.export import export
    from fer.models.backbone import Backbone
    from fer.models.checkpoint import load_checkpoint
    from fer.models.register import register_attention, register_model
    from fer.predict.predictor import Predictor
    from fer.training.api import Run, train
    from fer.training.module import EmotionModule
    from fer.training.register import (
        register_callback,
        register_loss,
        register_metric,
        register_optimizer,
        register_scheduler,
    )

__all__ = [
    "Backbone",
    "Bundle",
    "Comparison",
    "EmotionDataModule",
    "EmotionModule",
    "FerError",
    "Predictor",
    "Report",
    "Run",
    "TestLedger",
    "compare",
    "evaluate",
    "export",
    "from_arrays",
    "load_checkpoint",
    "register_attention",
    "register_augmentation",
    "register_callback",
    "register_loss",
    "register_metric",
    "register_model",
    "register_optimizer",
    "register_reader",
    "register_scheduler",
    "train",
]
_MODULES = {
    "Backbone": "fer.models.backbone",
    "Bundle": "fer.bundle.files",
    "Comparison": "fer.evaluation.results",
    "EmotionDataModule": "fer.data.datamodule",
    "EmotionModule": "fer.training.module",
    "FerError": "fer.core.errors",
    "Predictor": "fer.predict.predictor",
    "Report": "fer.evaluation.results",
    "Run": "fer.training.api",
    "TestLedger": "fer.evaluation.trainer_ledger",
    "compare": "fer.evaluation.compare",
    "evaluate": "fer.evaluation.evaluate",
    "export": "fer.export.export",
    "from_arrays": "fer.data.arrays",
    "load_checkpoint": "fer.models.checkpoint",
    "register_attention": "fer.models.register",
    "register_augmentation": "fer.data.register",
    "register_callback": "fer.training.register",
    "register_loss": "fer.training.register",
    "register_metric": "fer.training.register",
    "register_model": "fer.models.register",
    "register_optimizer": "fer.training.register",
    "register_reader": "fer.data.register",
    "register_scheduler": "fer.training.register",
    "train": "fer.training.api",
}
# Names whose modules load no torch.
_WITHOUT_TORCH = ("Bundle", "FerError", "Predictor")
# Names and a module of PyPI's `fer`, another project with the same import name.
_NAMES_OF_OTHER_FER = ("FER", "Video")
if os.path.exists(os.path.join(__path__[0], "emotionsmultilanguage.py")):  # noqa: PTH110, PTH118
    from fer.core.installation import CURE

    warnings.warn(
        f"{__path__[0]}: expected fer-lightning only, got PyPI's fer in the same folder, which cannot "
        f"be used and, when it is uninstalled, breaks this one. {CURE}",
        stacklevel=2,
    )


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name in _NAMES_OF_OTHER_FER:
        # Not an AttributeError, whose message `from fer import FER` would hide.
        raise ImportError(
            f"{name} is a class of PyPI's package fer, another project with the same import name; this is "
            "fer-lightning. Use another environment for PyPI's fer, or Predictor of this one."
        )
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer.core.errors import import_with_hint
    from fer.core.threads import share_cores

    if name not in _WITHOUT_TORCH:
        share_cores()
    value = getattr(import_with_hint(_MODULES[name]), name)
    # The package `fer.export` can be called: once it is imported, it hides a function of the same name
    return sys.modules["fer.export"] if name == "export" else value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
