"""fp16 export: weights are stored in half precision, which halves the file; inference stays in fp32."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Smaller tensors are scales and shifts: they take no space, and their precision matters.
_MIN_ELEMENTS = 64
_MAX_FP16 = float(np.finfo(np.float16).max)


def convert_to_fp16(source: Path, target: Path) -> None:
    """Write a model with its weights stored as fp16; ONNX Runtime casts them to fp32 once, on loading.

    Args:
        source: ONNX file in fp32.
        target: File to write.
    """
    model = onnx.load(source)
    graph = model.graph
    initializers, casts = [], []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != TensorProto.FLOAT or values.size < _MIN_ELEMENTS or not _fits(values):
            initializers.append(weights)
            continue
        fp16_name = f"{weights.name}_fp16"
        initializers.append(numpy_helper.from_array(values.astype(np.float16), fp16_name))
        casts.append(helper.make_node("Cast", [fp16_name], [weights.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)
    onnx.save(model, target)


def _fits(values: np.ndarray) -> bool:
    """Return whether all values are within the range of half precision."""
    return float(np.abs(values).max()) <= _MAX_FP16
