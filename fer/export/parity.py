"""Check that the ONNX file gives the same probabilities as the torch model, before a bundle is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer.bundle.runtime import ATTENTION, FACES, PROBABILITIES, open_session
from fer.core.errors import FerError
from fer.data.augment import to_float
from fer.export.graph import Ensemble, Network, attention_mask

NUM_IMAGES = 256
BATCH_SIZES = (1, 2, 7)
# Largest difference of a probability, by precision; half precision rounds weights to 11 bits.
TOLERANCE = {"fp32": 1e-5, "fp16": 1e-2}
# Largest difference of an attention map in [0, 1], which is for display only.
ATTENTION_TOLERANCE = 1e-4
# Probabilities that differ by less than this are a tie in single precision.
_TIE = 1e-6
_TORCH_BATCH_SIZE = 64


def check_parity(
    path: Path,
    model: Network,
    images: np.ndarray,
    temperature: float,
    precision: str = "fp32",
    size: int | None = None,
) -> dict[str, Any]:
    """Compare ONNX Runtime with torch at several batch sizes.

    Torch preprocesses as in training and evaluation (`fer.data.augment.to_float`).

    Args:
        path: The ONNX file.
        model: Torch model in evaluation mode, on the CPU.
        images: uint8 ``(N, S, S, C)``, with the channels that the model was trained on.
        temperature: Expected temperature of the graph.
        precision: Precision of the weights, a key of `TOLERANCE`.
        size: Side to which training resizes the images, in pixels; None: S.

    Returns:
        JSON values for the card: ``images``, ``precision``, ``batch_sizes``, ``tolerance``,
        ``max_difference`` of a probability, ``same_answer`` (number of images with the same predicted
        emotion, ties included) and, with attention, ``max_attention_difference``.

    Raises:
        FerError: A difference exceeds the tolerance or, in fp32, a predicted emotion differs. In fp16 the
            prediction may change between two emotions within the tolerance.
    """
    expected = _torch_outputs(model, images, temperature, size or images.shape[1])
    outputs = [onnx_outputs(path, images, batch_size, list(expected)) for batch_size in BATCH_SIZES]
    return _compare(path, expected, outputs, precision)


def torch_probabilities(model: Network, images: np.ndarray, temperature: float, size: int) -> np.ndarray:
    """Return the probabilities of a torch model, float32 ``(N, K)``; arguments as for `check_parity`."""
    return _torch_outputs(model, images, temperature, size)[PROBABILITIES]


def check_outputs(path: Path, expected: np.ndarray, outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Compare probabilities of a file of any format, one array for each batch size, with those of torch.

    Returns:
        As `check_parity`.

    Raises:
        FerError: They differ.
    """
    return _compare(path, {PROBABILITIES: expected}, [{PROBABILITIES: output} for output in outputs], "fp32")


def _compare(
    path: Path, expected: dict[str, np.ndarray], outputs: list[dict[str, np.ndarray]], precision: str
) -> dict[str, Any]:
    tolerance = TOLERANCE[precision]
    differences = {name: _max_difference(values, [output[name] for output in outputs])
                   for name, values in expected.items()}  # fmt: skip
    probs = expected[PROBABILITIES]
    same = min(_count_same_predictions(probs, output[PROBABILITIES]) for output in outputs)
    report = {
        "images": len(probs),
        "precision": precision,
        "batch_sizes": list(BATCH_SIZES),
        "tolerance": tolerance,
        "max_difference": differences[PROBABILITIES],
        "same_answer": same,
    }
    if ATTENTION in differences:
        report["max_attention_difference"] = differences[ATTENTION]
    if not _passes(report):
        raise FerError(_failure_message(path, report))
    return report


def _torch_outputs(
    model: Network, images: np.ndarray, temperature: float, size: int
) -> dict[str, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {PROBABILITIES: []}
    side = images.shape[1]
    with torch.inference_mode():
        for start in range(0, len(images), _TORCH_BATCH_SIZE):
            pixels = torch.from_numpy(np.array(images[start : start + _TORCH_BATCH_SIZE]))
            batch = to_float(pixels.permute(0, 3, 1, 2), size)
            parts[PROBABILITIES].append((model(batch) / temperature).softmax(1).numpy())
            if not isinstance(model, Ensemble) and attention_mask(model) is not None:
                parts.setdefault(ATTENTION, []).append(model.attention_map(batch, side).numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def onnx_outputs(path: Path, images: np.ndarray, batch_size: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return output name -> values of a model file for uint8 images ``(N, S, S, 1 or 3)``."""
    session = open_session(path)
    starts = range(0, len(images), batch_size)
    outputs = [session.run(names, {FACES: to_rgb(images[at : at + batch_size])}) for at in starts]
    return {
        name: np.concatenate(values) for name, values in zip(names, zip(*outputs, strict=True), strict=True)
    }


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Return images ``(N, S, S, 1 or 3)`` with three channels; grayscale is repeated."""
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def _max_difference(expected: np.ndarray, outputs: list[np.ndarray]) -> float:
    return float(np.max([np.abs(values - expected).max() for values in outputs]))


def _count_same_predictions(expected: np.ndarray, probs: np.ndarray) -> int:
    """Return the number of equal predictions; if torch has a tie, either emotion counts as equal."""
    rows = np.arange(len(expected))
    gap = expected.max(1) - expected[rows, probs.argmax(1)]
    return int((gap <= _TIE).sum())


def _passes(report: Mapping[str, Any]) -> bool:
    """Return whether all differences are within the tolerances; False for NaN."""
    maps = report.get("max_attention_difference", 0.0) <= max(ATTENTION_TOLERANCE, report["tolerance"])
    probs = report["max_difference"] <= report["tolerance"]
    predictions = report["precision"] != "fp32" or report["same_answer"] == report["images"]
    return bool(maps and probs and predictions)


def _failure_message(path: Path, report: Mapping[str, Any]) -> str:
    attention = report.get("max_attention_difference")
    maps = "" if attention is None else f", attention maps by up to {attention:.2g}"
    return (
        f"{path.name}: the exported model differs from the trained model: on {report['images']} images, "
        f"expected probabilities within {report['tolerance']:g}, got differences of up to "
        f"{report['max_difference']:.2g}{maps}; {report['same_answer']} predictions are the same. Nothing "
        "was written. This is a bug of the export, or of this version of torch or onnxruntime; try other "
        "versions."
    )
