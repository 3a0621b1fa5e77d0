"""Does the ONNX file answer as the network did in training? Shown before a bundle is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer.bundle.runtime import ATTENTION, FACES, PROBABILITIES, open_session
from fer.data.augment import to_float
from fer.errors import FerError
from fer.exporting.graph import mask_of
from fer.exporting.together import Network, Together

NUM_IMAGES = 256
BATCH_SIZES = (1, 2, 7)
TOLERANCE = {"fp32": 1e-5, "fp16": 1e-2}  # of a probability; half precision rounds weights to 11 bits
ATTENTION_TOLERANCE = 1e-4  # of a map in 0 to 1, which is for the eye
_TIE = 1e-6  # two emotions nearer to each other than that are equally probable in single precision
_PORTION = 64


def check_parity(
    path: Path,
    model: Network,
    pictures: np.ndarray,
    temperature: float,
    precision: str = "fp32",
    size: int | None = None,
) -> dict[str, Any]:
    """Compare ONNX Runtime with torch, at several batch sizes.

    Torch takes the way of training and evaluation (`fer.data.augment.to_float`, gray where training was).

    Args:
        path: The ONNX file.
        model: In evaluation mode, on the CPU.
        pictures: uint8 ``(N, S, S, C)``, of the channels that the model was trained on.
        temperature: That the graph is to hold.
        precision: Of its weights, a key of `TOLERANCE`.
        size: Side that training resizes them to, in pixels; None: S.

    Returns:
        Plain values for the card: ``images``, ``precision``, ``batch_sizes``, ``tolerance``,
        ``max_difference`` of a probability, ``same_answer`` (images with the same most probable emotion, or
        one that torch finds equally probable), with attention ``max_attention_difference``.

    Raises:
        FerError: They differ by more than the tolerance, or, in single precision, in an answer. In half
            precision two emotions within the tolerance of each other may change places.
    """
    expected = _torch_answers(model, pictures, temperature, size or pictures.shape[1])
    found = {size: _onnx_answers(path, pictures, size, list(expected)) for size in BATCH_SIZES}
    tolerance = TOLERANCE[precision]
    differences = {name: _largest(values, [found[size][name] for size in BATCH_SIZES])
                   for name, values in expected.items()}  # fmt: skip
    probs = expected[PROBABILITIES]
    same = min(_same_answers(probs, found[size][PROBABILITIES]) for size in BATCH_SIZES)
    report = {
        "images": len(pictures),
        "precision": precision,
        "batch_sizes": list(BATCH_SIZES),
        "tolerance": tolerance,
        "max_difference": differences[PROBABILITIES],
        "same_answer": same,
    }
    if ATTENTION in differences:
        report["max_attention_difference"] = differences[ATTENTION]
    if not _is_alike(report):
        raise FerError(_complaint(path, report))
    return report


def _torch_answers(
    model: Network, pictures: np.ndarray, temperature: float, size: int
) -> dict[str, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {PROBABILITIES: []}
    side = pictures.shape[1]
    with torch.inference_mode():
        for start in range(0, len(pictures), _PORTION):
            part = torch.from_numpy(np.array(pictures[start : start + _PORTION]))
            images = to_float(part.permute(0, 3, 1, 2), size)
            parts[PROBABILITIES].append((model(images) / temperature).softmax(1).numpy())
            if not isinstance(model, Together) and mask_of(model) is not None:
                parts.setdefault(ATTENTION, []).append(model.attention_map(images, side).numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def _onnx_answers(
    path: Path, pictures: np.ndarray, batch_size: int, names: list[str]
) -> dict[str, np.ndarray]:
    session = open_session(path)
    faces = as_rgb(pictures)
    portions = [faces[start : start + batch_size] for start in range(0, len(faces), batch_size)]
    answers = [session.run(names, {FACES: part}) for part in portions]
    return {
        name: np.concatenate(values) for name, values in zip(names, zip(*answers, strict=True), strict=True)
    }


def as_rgb(pictures: np.ndarray) -> np.ndarray:
    """Return pictures ``(N, S, S, 1 or 3)`` with three channels."""
    return np.ascontiguousarray(np.broadcast_to(pictures, (*pictures.shape[:3], 3)))


def _largest(expected: np.ndarray, found: list[np.ndarray]) -> float:
    return float(np.max([np.abs(values - expected).max() for values in found]))


def _same_answers(expected: np.ndarray, found: np.ndarray) -> int:
    """Return how many answers agree; where torch itself has a tie, either will do."""
    rows = np.arange(len(expected))
    gap = expected.max(1) - expected[rows, found.argmax(1)]
    return int((gap <= _TIE).sum())


def _is_alike(report: Mapping[str, Any]) -> bool:
    """Whether what was measured will do; NaN will not."""
    maps = report.get("max_attention_difference", 0.0) <= max(ATTENTION_TOLERANCE, report["tolerance"])
    probs = report["max_difference"] <= report["tolerance"]
    answers = report["precision"] != "fp32" or report["same_answer"] == report["images"]
    return bool(maps and probs and answers)


def _complaint(path: Path, report: Mapping[str, Any]) -> str:
    attention = report.get("max_attention_difference")
    maps = "" if attention is None else f", maps of the attention by up to {attention:.2g}"
    return (
        f"{path.name}: the exported model does not answer as the trained one: over {report['images']} images "
        f"probabilities differ by up to {report['max_difference']:.2g}{maps}, expected at most "
        f"{report['tolerance']:g}; the answer is the same on {report['same_answer']}. Nothing was written. "
        "This is a defect of the export of this network, or of the versions of torch and onnxruntime; other "
        "versions may do."
    )
