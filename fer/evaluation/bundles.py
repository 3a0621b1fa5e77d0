"""Evaluate an exported model: a bundle as a run, which answers what its ONNX file answers."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fer.bundle.card import model_name
from fer.bundle.files import CARD, Bundle
from fer.bundle.registry import find_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.evaluation.runs import RunSource, TrainedRun, load_run
from fer.models.checkpoint import Checkpoint
from fer.models.config import ModelConfig
from fer.training.config import RunConfig


class BundleNetwork(nn.Module):
    """The model of a bundle as a network, for `fer.models.inference.infer`.

    Its logits are the logarithms of the probabilities that the file answers: calibrated, of int8 weights if
    the file has them.

    Args:
        bundle: The bundle.

    Shape: float images ``(B, 1 or 3, S, S)`` in [0, 1] in, logits float32 ``(B, K)`` out.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        # As many threads as the command was given.
        self.classifier = OnnxClassifier(bundle, torch.get_num_threads())

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
        faces = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
        probs = torch.from_numpy(self.classifier(faces))
        return probs.clamp_min(torch.finfo(torch.float32).tiny).log().to(images.device)


@dataclass(frozen=True)
class BundleRun(TrainedRun):
    """A bundle in the place of a run.

    Attributes:
        bundle: The bundle.
    """

    bundle: Bundle

    @cached_property
    def config(self) -> RunConfig:
        """The defaults, with the size of the input: a bundle has no config."""
        return RunConfig(model=ModelConfig.of("fast_cnn").replace(image_size=self.bundle.card.image_size))

    @property
    def monitor(self) -> str:
        """The usual metric: a card does not say which one selected the checkpoint."""
        return "val/accuracy"

    @property
    def seed(self) -> int | None:
        """Seed of the training, if the card has it."""
        return self.bundle.card.training.get("seed")

    @property
    def outputs(self) -> Path:
        """``outputs`` in the working folder: nothing is written beside the bundle."""
        return Path("outputs")

    @property
    def report_root(self) -> Path:
        """Folder of its reports."""
        return self.outputs / "evaluate" / self.name.replace(":", "_v")

    @property
    def variant(self) -> None:
        """None: a bundle has one model."""
        return None

    @property
    def architecture(self) -> str:
        """Name of the network, as on the card."""
        return str(self.bundle.card.model["architecture"])

    @property
    def parameters(self) -> int:
        """Number of weights, as on the card."""
        return int(self.bundle.card.model["parameters"])

    @property
    def is_calibrated(self) -> bool:
        """True: its temperature is part of the file."""
        return True

    @property
    def network(self) -> None:
        """None: an ONNX file has no layers whose maps could be shown."""
        return None


def load_model(source: RunSource, which: str | None = None) -> TrainedRun:
    """Load a run, or a bundle as one.

    Args:
        source: As for `load_run`; or the folder of a bundle, or the name of a model of the package or of the
            registry.
        which: ``best`` or ``last``, for a run folder.

    Raises:
        FerError: There is no such run or bundle, or it is damaged.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    if name is not None and (expand_user(name) / CARD).is_file():
        return _as_run(find_bundle(expand_user(name)))
    try:
        return load_run(source, which)
    except FerError:
        if name is None or expand_user(name).exists():
            raise
        try:
            return _as_run(find_bundle(name))
        except FerError:
            pass
        raise


def _as_run(bundle: Bundle) -> BundleRun:
    card, training = bundle.card, bundle.card.training
    checkpoint = Checkpoint(
        BundleNetwork(bundle),  # type: ignore[arg-type]  # called like one, and never asked for its layers
        card.labels,
        {},
        training.get("manifest") or {"splits": {}},
        training.get("epoch") or 0,
        training.get("init_from"),
        teachers=training.get("teachers") or [],
    )
    weights, recipe = card.model["sha256"], training.get("recipe_sha256")
    path = bundle.folder / card.model["file"]
    return BundleRun(model_name(card), path, None, checkpoint, weights, recipe or weights, bundle)


def check_bundles(runs: list[TrainedRun], data: str | None) -> None:
    """Check that bundles are scored on data that are named.

    Raises:
        FerError: ``data`` is None.
    """
    for run in runs:
        if isinstance(run, BundleRun) and data is None:
            raise FerError(
                f"{run.bundle.folder}: expected --data with a bundle, which does not know where its data "
                "are, got none. Example: --data fer2013:$HOME/data/fer2013.csv --split val."
            )
