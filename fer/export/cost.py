"""What a network costs in use: size and latency of its ONNX file, measured without training it."""

import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fer.bundle.runtime import FACES, open_session
from fer.core.timing import time_in_turns
from fer.export.graph import ExportModel, write_onnx
from fer.models.config import AttentionConfig, ModelConfig
from fer.models.factory import build_model

_SECONDS = 0.3


@dataclass(frozen=True)
class ExportCost:
    """Cost of an exported network, with fp32 weights.

    Attributes:
        megabytes: Size of the ONNX file, in 10^6 bytes.
        milliseconds: Median time of a call with one face on one CPU thread, from uint8 pixels to
            probabilities.
    """

    megabytes: float
    milliseconds: float


def measure_cost(
    model: ModelConfig, attention: AttentionConfig, num_classes: int, image_channels: int, image_size: int
) -> ExportCost:
    """Export a network with random weights, and measure the file; once for each architecture in a process.

    Weights do not change the cost, so it is known before training.

    Args:
        model, attention: The network.
        num_classes: Number of emotions.
        image_channels: Channels of the training images, 1 or 3.
        image_size: Side of the stored images, in pixels.

    Raises:
        FerError: The network cannot be built or exported.
    """
    # Neither dropout nor the source of the weights changes the file.
    network = model.replace(pretrained=False, init_from=None, freeze_epochs=0, dropout=0.0)
    return _measure(
        json.dumps([network.to_dict(), attention.to_dict()], sort_keys=True),
        num_classes, image_channels, image_size,
    )  # fmt: skip


@lru_cache
def _measure(architecture: str, num_classes: int, image_channels: int, image_size: int) -> ExportCost:
    model, attention = json.loads(architecture)
    config = ModelConfig.from_dict(model)
    # Building draws random weights, which must not change the training that follows.
    with torch.random.fork_rng(devices=[]):
        network = build_model(config, num_classes, image_channels, attention).eval()
    exported = ExportModel(network, image_channels == 1, 1.0, image_size, config.image_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(exported, path, {})
        return ExportCost(path.stat().st_size / 1e6, _time_call(path, image_size))


def _time_call(path: Path, side: int) -> float:
    session = open_session(path, threads=1)
    faces = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    return 1e3 * float(np.median(time_in_turns([lambda: session.run(None, {FACES: faces})], _SECONDS)))
