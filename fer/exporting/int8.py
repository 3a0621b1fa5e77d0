"""int8: static quantisation, and whether it is worth it on this machine."""

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fer.bundle.runtime import FACES, PORTION, PROBABILITIES, open_session
from fer.exporting.parity import as_rgb

NUM_CALIBRATION = 512
LEAST_SPEEDUP, MOST_LOSS = 1.5, 0.003  # times; share of the validation images
_BATCHES = (1, 64)
_TURNS, _TURN_SECONDS = 15, 0.02
_WEIGHTED = ("Conv", "Gemm", "MatMul")  # what the time goes into
_BETWEEN = ("MaxPool", "Relu", "Add")  # cheap, but in fp32 they would cost two conversions each


class _Faces(CalibrationDataReader):
    """Calibration pictures, a portion at a time."""

    def __init__(self, faces: np.ndarray) -> None:
        self._portions = iter([faces[at : at + PORTION] for at in range(0, len(faces), PORTION)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next portion; None at the end."""
        portion = next(self._portions, None)
        return None if portion is None else {FACES: portion}


def quantise(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Write an int8 model: weights by output channel, ranges of activations from pictures.

    First and last layers stay in fp32, those of each where several models share a file: they cost little time
    (none that was measured on the fast net), and errors of the first go through all others. Weights take 7
    bits, since processors without VNNI add products up in 16 and overflow with 8
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        source: ONNX file in fp32.
        target: File to write.
        pictures: uint8 ``(N, S, S, C)``, of the training split.
    """
    with tempfile.TemporaryDirectory() as place:
        prepared = Path(place) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        first = outermost(nodes, lambda node: node.input, lambda node: node.output)
        last = outermost(nodes[::-1], lambda node: node.output, lambda node: node.input)
        quantize_static(
            str(prepared), str(target), _Faces(as_rgb(pictures)), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_WEIGHTED, *_BETWEEN],
            nodes_to_exclude=[*first, *last], per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def outermost(
    nodes: Sequence[onnx.NodeProto],
    comes: Callable[[Any], Iterable[str]],
    goes: Callable[[Any], Iterable[str]],
) -> list[str]:
    """Return the names of the layers with weights that no other such layer comes before.

    Args:
        nodes: In the order in which they are walked.
        comes: What a node depends on, walking that way.
        goes: What depends on it.
    """
    found, behind = [], set[str]()
    for node in nodes:
        is_behind, is_layer = not behind.isdisjoint(comes(node)), node.op_type in _WEIGHTED
        if is_layer and not is_behind:
            found.append(node.name)
        if is_layer or is_behind:
            behind.update(goes(node))
    return found


@dataclass(frozen=True)
class Verdict:
    """Whether int8 ships.

    Attributes:
        kept: It is fast and right enough.
        report: What was measured, as plain values for the card; ``said`` in words.
    """

    kept: bool
    report: dict[str, Any]


def judge(plain: Path, small: Path, pictures: np.ndarray, target: np.ndarray) -> Verdict:
    """Measure speed and accuracy of an int8 model against the fp32 one, on one processor.

    Args:
        plain: ONNX file in fp32.
        small: The same in int8.
        pictures: uint8 ``(N, S, S, C)``, of the validation split.
        target: int ``(N,)``, the classes of their emotions.
    """
    accuracy = {name: float((answers(path, pictures).argmax(1) == target).mean())
                for name, path in (("fp32", plain), ("int8", small))}  # fmt: skip
    speed = {f"batch_{size}": compare_speed(plain, small, pictures, size) for size in _BATCHES}
    loss = accuracy["fp32"] - accuracy["int8"]
    kept = loss <= MOST_LOSS and all(entry["times_faster"] >= LEAST_SPEEDUP for entry in speed.values())
    report = {
        "kept": kept, "accuracy": accuracy, "n": len(target), "speed": speed,
        "megabytes": {"fp32": plain.stat().st_size / 1e6, "int8": small.stat().st_size / 1e6},
        "machine": f"one of {os.cpu_count()} processors ({platform.machine()})",
    }  # fmt: skip
    return Verdict(kept, report | {"said": _say(kept, speed, loss)})


def _say(kept: bool, speed: dict[str, Any], loss: float) -> str:
    faster = " and ".join(
        f"{entry['times_faster']:.2f} times as fast with {name.removeprefix('batch_')} face(s) at a time"
        for name, entry in speed.items()
    )
    change = f"{-100 * loss:+.2f} points of accuracy on validation"
    rule = f"at least {LEAST_SPEEDUP} times and at most {100 * MOST_LOSS:.1f} points lost are asked for"
    return f"int8 {'ships' if kept else 'was tried, and fp32 ships instead'}: {faster}, {change}; {rule}"


def answers(path: Path, pictures: np.ndarray) -> np.ndarray:
    """Return the probabilities that a model file gives pictures ``(N, S, S, C)``, float32 ``(N, K)``."""
    session, faces = open_session(path), as_rgb(pictures)
    portions = [faces[at : at + PORTION] for at in range(0, len(faces), PORTION)]
    return np.concatenate([session.run([PROBABILITIES], {FACES: part})[0] for part in portions])


def compare_speed(plain: Path, small: Path, pictures: np.ndarray, batch_size: int) -> dict[str, float]:
    """Time two models in turns, so that what slows the machine down slows both.

    Returns:
        ``fp32_ms`` and ``int8_ms`` a call, and ``times_faster``: medians over the turns.
    """
    faces = as_rgb(pictures[np.arange(batch_size) % len(pictures)])
    calls = [_caller(path, faces) for path in (plain, small)]
    repeats = max(1, round(_TURN_SECONDS / min(_seconds(call, 3) for call in calls)))
    turns = np.array([_turn(calls, repeats, turn % 2 == 1) for turn in range(_TURNS)])
    first, second = np.median(turns, axis=0)
    ratio = float(np.median(turns[:, 0] / turns[:, 1]))
    return {"fp32_ms": 1e3 * float(first), "int8_ms": 1e3 * float(second), "times_faster": ratio}


def _caller(path: Path, faces: np.ndarray) -> Callable[[], Any]:
    session = open_session(path, threads=1)
    return lambda: session.run([PROBABILITIES], {FACES: faces})


def _turn(calls: list[Callable[[], Any]], repeats: int, swapped: bool) -> list[float]:
    order = calls[::-1] if swapped else calls
    seconds = [_seconds(call, repeats) for call in order]
    return seconds[::-1] if swapped else seconds


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
