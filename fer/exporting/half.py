"""fp16: weights kept in half precision, so that the file is half as large; it computes in fp32."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_WORTH_IT = 64  # numbers in a tensor; smaller ones are scales and shifts, which cost nothing and matter much
_LARGEST = float(np.finfo(np.float16).max)


def halve(source: Path, target: Path) -> None:
    """Write a model whose weights lie in the file as fp16; ONNX Runtime widens them once, when it loads it.

    Args:
        source: ONNX file in fp32.
        target: File to write.
    """
    model = onnx.load(source)
    graph = model.graph
    kept, casts = [], []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != TensorProto.FLOAT or values.size < _WORTH_IT or not _fits(values):
            kept.append(weights)
            continue
        small = f"{weights.name}_fp16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), small))
        casts.append(helper.make_node("Cast", [small], [weights.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.save(model, target)


def _fits(values: np.ndarray) -> bool:
    """Whether no number is too large for half precision."""
    return float(np.abs(values).max()) <= _LARGEST
