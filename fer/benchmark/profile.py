"""Profile of a model by operator: where ONNX Runtime spends the time of one face."""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

from fer.benchmark.models import BenchmarkModel
from fer.bundle.foreign import INPUT_TYPES
from fer.bundle.providers import session_options

_CALLS = 200
_SUFFIX = "_kernel_time"
# Operators that take a smaller share are added up.
_MIN_SHARE = 0.01


def profile(model: BenchmarkModel) -> list[dict[str, Any]]:
    """Profile a model on one thread of the CPU, one face at a time.

    The operators are those after ONNX Runtime's optimisations, such as ``QLinearConv``: an int8 convolution
    with its ReLU.

    Args:
        model: The model.

    Returns:
        JSON values for each kind of operator, slowest first: ``operator``, ``number`` in the graph,
        ``microseconds`` (sum of the medians over calls) and ``share`` of the time of all operators.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(1)
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = ort.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
        image = session.get_inputs()[0]
        feed = {image.name: _random_input(image, model)}
        for _ in range(_CALLS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            times[event["args"]["op_name"], event["name"]].append(event["dur"])
    kinds: dict[str, list[float]] = defaultdict(list)
    for (operator, _), durations in times.items():
        kinds[operator].append(median(durations))
    total = sum(map(sum, kinds.values()))
    entries = [
        {"operator": name, "number": len(taken), "microseconds": sum(taken), "share": sum(taken) / total}
        for name, taken in kinds.items()
    ]
    return sorted(entries, key=lambda entry: -entry["share"])


def _random_input(image: Any, model: BenchmarkModel) -> np.ndarray:
    """Return random pixels for an input: one image, or as many as the file has fixed."""
    side = model.load(1, "cpu").card.image_size
    shape = [size if isinstance(size, int) else side for size in image.shape]
    shape[0] = image.shape[0] if isinstance(image.shape[0], int) else 1
    pixels, dtype = np.random.default_rng(0).integers(0, 256, shape, np.uint8), INPUT_TYPES[image.type]
    return pixels if dtype is np.uint8 else (pixels / 255).astype(dtype)


def profile_rows(entries: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table of a profile: a header, a row for each kind of operator, the rest and the sum."""
    shown = [entry for entry in entries if entry["share"] >= _MIN_SHARE]
    rest = entries[len(shown) :]
    rows = [(f"{one['operator']}, {one['number']}", one["microseconds"], one["share"]) for one in shown]
    if rest:
        number = sum(entry["number"] for entry in rest)
        rows.append(
            (f"others, {number}", *(sum(one[key] for one in rest) for key in ("microseconds", "share")))
        )
    rows.append(("all", sum(one["microseconds"] for one in entries), 1.0))
    cells = [(name, f"{taken:,.0f}", f"{100 * share:.1f} %") for name, taken, share in rows]
    return [("operator, number", "microseconds", "share"), *cells]
