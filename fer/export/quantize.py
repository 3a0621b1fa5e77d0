"""Smaller weights: int8, with a benchmark that decides whether it is used, and fp16."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fer.analysis.metrics.estimate import signed_number
from fer.analysis.metrics.hypothesis_tests import mcnemar, paired_difference_interval
from fer.bundle.runtime import BATCH_SIZE, FACES, PROBABILITIES, open_session
from fer.core.timing import ratio, time_in_turns
from fer.export.graph import INTERPOLATIONS
from fer.export.parity import onnx_outputs, to_rgb

NUM_CALIBRATION = 512
# An int8 model must be at least this many times as fast, and may lose this fraction of accuracy.
MIN_SPEEDUP, MAX_ACCURACY_LOSS = 1.5, 0.003
# The 95 % interval of the lost accuracy, from both models' answers to each image, must end below this.
MAX_PLAUSIBLE_LOSS = 0.01
_BATCH_SIZES = (1, 64)
# Time for each model and batch size.
_SECONDS = 0.3
# The operators with weights take almost all of the time.
_WEIGHTED_OPS = ("Conv", "Gemm", "MatMul")
# Cheap operators, but in fp32 each would need two conversions.
_INTERMEDIATE_OPS = ("MaxPool", "Relu", "Add")
# Smaller tensors are scales and shifts: they take no space, and their precision matters.
_MIN_ELEMENTS = 64
_MAX_FP16 = float(np.finfo(np.float16).max)


class _Faces(CalibrationDataReader):
    """Calibration images in batches."""

    def __init__(self, faces: np.ndarray) -> None:
        self._batches = iter(
            [faces[start : start + BATCH_SIZE] for start in range(0, len(faces), BATCH_SIZE)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {FACES: batch}


def quantise(source: Path, target: Path, images: np.ndarray) -> None:
    """Write an int8 model: weights quantised per output channel, activation ranges from calibration images.

    The first and last layers (of each member of an ensemble) stay in fp32: that costs 2.5 % of the time of
    fast_cnn_wide, and errors of the first layer would propagate through all others. Weights use 7 bits, since
    CPUs without VNNI accumulate products in 16 bits and overflow with 8-bit weights
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        source: ONNX file in fp32.
        target: File to write.
        images: uint8 ``(N, S, S, C)``, calibration images of the training split.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        resizing = [node.name for node in graph.node if not INTERPOLATIONS.isdisjoint(node.input)]
        nodes = [node for node in graph.node if node.name not in resizing]
        first = outermost_layers(nodes, lambda node: node.input, lambda node: node.output)
        last = outermost_layers(nodes[::-1], lambda node: node.output, lambda node: node.input)
        quantize_static(
            str(prepared), str(target), _Faces(to_rgb(images)), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_WEIGHTED_OPS, *_INTERMEDIATE_OPS],
            nodes_to_exclude=[*resizing, *first, *last], per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def outermost_layers(
    nodes: Sequence[onnx.NodeProto],
    inputs: Callable[[Any], Iterable[str]],
    outputs: Callable[[Any], Iterable[str]],
) -> list[str]:
    """Return the names of the weighted layers that no other weighted layer precedes.

    Args:
        nodes: Nodes of the graph in topological order (reversed to get the last layers).
        inputs: Returns the tensors that a node reads (writes, in reversed order).
        outputs: Returns the tensors that a node writes (reads, in reversed order).
    """
    names, reached = [], set[str]()
    for node in nodes:
        is_reached, is_layer = not reached.isdisjoint(inputs(node)), node.op_type in _WEIGHTED_OPS
        if is_layer and not is_reached:
            names.append(node.name)
        if is_layer or is_reached:
            reached.update(outputs(node))
    return names


def evaluate_int8(fp32_path: Path, int8_path: Path, images: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Compare speed (on one CPU core) and accuracy of an int8 model with the fp32 model.

    Args:
        fp32_path: ONNX file in fp32.
        int8_path: The same model in int8.
        images: uint8 ``(N, S, S, C)``, images of the validation split.
        target: int ``(N,)``, their class indices.

    Returns:
        The measurements as JSON values for the card. ``kept`` says whether the int8 model is fast and
        accurate enough; ``said`` is a summary sentence.
    """
    fp32, int8 = (predict_probabilities(path, images).argmax(1) for path in (fp32_path, int8_path))
    paired = compare_answers(fp32, int8, target)
    speed = {f"batch_{size}": compare_speed(fp32_path, int8_path, images, size) for size in _BATCH_SIZES}
    is_fast = all(entry["times_faster"] >= MIN_SPEEDUP for entry in speed.values())
    is_accurate = paired["loss"] <= MAX_ACCURACY_LOSS and paired["high"] <= MAX_PLAUSIBLE_LOSS
    return {
        "kept": is_fast and is_accurate,
        "accuracy": {name: float((answer == target).mean())
                     for name, answer in (("fp32", fp32), ("int8", int8))},
        "n": len(target), "paired": paired, "speed": speed,
        "megabytes": {"fp32": fp32_path.stat().st_size / 1e6, "int8": int8_path.stat().st_size / 1e6},
        "machine": f"one of {os.cpu_count()} processors ({platform.machine()})",
        "said": _summary(is_fast and is_accurate, speed, paired, len(target)),
    }  # fmt: skip


def compare_answers(fp32: np.ndarray, int8: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Compare the answers of two models image by image.

    Equal accuracies alone do not make them equal: each may be right on images on which the other is wrong.

    Args:
        fp32: int ``(N,)``, predicted classes of the fp32 model.
        int8: int ``(N,)``, of the int8 model.
        target: int ``(N,)``, the labels.

    Returns:
        ``same``, ``only_fp32`` and ``only_int8``: numbers of images with the same answer, and of those that
        only one of the models classifies correctly; ``loss``, the accuracy that int8 loses, with its 95 %
        interval ``low`` to ``high``; and ``p`` of McNemar's exact test.
    """
    only_fp32, only_int8, p = mcnemar(fp32 == target, int8 == target)
    low, high = paired_difference_interval(only_fp32, only_int8, len(target))
    return {
        "same": int((fp32 == int8).sum()), "only_fp32": only_fp32, "only_int8": only_int8,
        "loss": (only_fp32 - only_int8) / len(target), "low": low, "high": high, "p": p,
    }  # fmt: skip


def _summary(is_accepted: bool, speed: dict[str, Any], paired: dict[str, Any], n: int) -> str:
    speedups = " and ".join(
        f"{entry['times_faster']:.2f} times as fast at batch size {name.removeprefix('batch_')}"
        for name, entry in speed.items()
    )
    value, low, high = (signed_number(-100 * paired[key], 2) for key in ("loss", "high", "low"))
    change = (
        f"{value} points of accuracy on validation (95 % interval {low} to {high}), the same answer on "
        f"{paired['same']:,} of {n:,} images, only fp32 correct on {paired['only_fp32']:,}, only int8 on "
        f"{paired['only_int8']:,} (McNemar p = {paired['p']:.2g})"
    )
    rule = (
        f"required: at least {MIN_SPEEDUP} times, at most {100 * MAX_ACCURACY_LOSS:.1f} points lost, and an "
        f"interval above {-100 * MAX_PLAUSIBLE_LOSS:+.1f}"
    )
    return (
        f"{'int8 is used' if is_accepted else 'int8 was tried, fp32 is used'}: {speedups}, {change}; {rule}"
    )


def predict_probabilities(path: Path, images: np.ndarray) -> np.ndarray:
    """Return the probabilities of a model file for images ``(N, S, S, C)``, float32 ``(N, K)``."""
    return onnx_outputs(path, images, BATCH_SIZE, [PROBABILITIES])[PROBABILITIES]


def compare_speed(fp32_path: Path, int8_path: Path, images: np.ndarray, batch_size: int) -> dict[str, float]:
    """Time two models that take turns, so that other load on the machine affects both.

    Returns:
        ``fp32_ms`` and ``int8_ms`` per call, and ``times_faster``: medians over the rounds.
    """
    faces = to_rgb(images[np.arange(batch_size) % len(images)])
    sessions = [open_session(path, threads=1) for path in (fp32_path, int8_path)]
    calls = [partial(session.run, [PROBABILITIES], {FACES: faces}) for session in sessions]
    times = time_in_turns(calls, _SECONDS)
    fp32, int8 = 1e3 * np.median(times, axis=0)
    return {"fp32_ms": float(fp32), "int8_ms": float(int8), "times_faster": ratio(*times.T)}


def convert_to_fp16(path: Path) -> None:
    """Store the weights of a model file as fp16, in place; ONNX Runtime casts them to fp32 on loading."""
    model = onnx.load(path)
    graph = model.graph
    initializers, casts = [], []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != TensorProto.FLOAT or values.size < _MIN_ELEMENTS or not _fits_fp16(values):
            initializers.append(weights)
            continue
        fp16_name = f"{weights.name}_fp16"
        initializers.append(numpy_helper.from_array(values.astype(np.float16), fp16_name))
        casts.append(helper.make_node("Cast", [fp16_name], [weights.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)
    onnx.save(model, path)


def _fits_fp16(values: np.ndarray) -> bool:
    """Return whether all values are within the range of half precision."""
    return float(np.abs(values).max()) <= _MAX_FP16
