"""Change the calibration in an ONNX file: the divisor of the logits, and what is added before the softmax.

Every program that runs the file gives the same probabilities, whether or not it knows of calibrations.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from fer.bundle.runtime import PROBABILITIES

# Names of the constants, and of what is computed with them.
TEMPERATURE, LOG_PRIOR, _UNCALIBRATED = "temperature", "log_prior", "uncalibrated_probabilities"


def change_calibration(
    source: Path,
    target: Path,
    temperature: tuple[float, float],
    log_prior: np.ndarray | None,
    about: Mapping[str, str],
) -> None:
    """Write a copy of a model with another calibration.

    Args:
        source: ONNX file of a bundle.
        target: File to write.
        temperature: The divisor of the logits in ``source``, and the new one.
        log_prior: ``(K,)``, added to the divided logits; None: nothing. An earlier one is replaced.
        about: Metadata that is replaced.

    """
    model = onnx.load(source)
    graph, (before, after) = model.graph, temperature
    softmax = _softmax(graph)
    logits, dtype = softmax.input[0], np.dtype(np.float32)
    logits = _without(graph, logits, "Add", LOG_PRIOR) or logits
    divisor = _constant_divisor(graph, logits, before)
    if divisor is not None:
        node, constant = divisor
        dtype = numpy_helper.to_array(constant).dtype
        logits = node.input[0]
        graph.node.remove(node)
        before = 1.0
        if not any(constant.name in other.input for other in graph.node):
            graph.initializer.remove(constant)
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    divisor_name = next(
        name for name in (TEMPERATURE, *(f"{TEMPERATURE}_{i}" for i in range(len(used)))) if name not in used
    )
    values = {divisor_name: np.array(after / before, dtype)}
    calibrated = f"{divisor_name}_divided"
    nodes = [onnx.helper.make_node("Div", [logits, divisor_name], [calibrated], name=calibrated)]
    if log_prior is not None:
        values[LOG_PRIOR] = np.asarray(log_prior, dtype)
        nodes.append(onnx.helper.make_node("Add", [calibrated, LOG_PRIOR], ["corrected"], name=LOG_PRIOR))
    for name in (LOG_PRIOR, divisor_name):
        _remove_initializer(graph, name)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    position = list(graph.node).index(softmax)
    for offset, node in enumerate(nodes):
        graph.node.insert(position + offset, node)
    softmax.input[0] = nodes[-1].output[0]
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, known | dict(about))
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _producer(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    return next((node for node in graph.node if name in node.output), None)


def _softmax(graph: onnx.GraphProto) -> onnx.NodeProto:
    """Return the softmax of the probabilities; one of their logarithms is added to a file without one.

    In half precision, a cast follows it. A mean of the probabilities of several models has none.
    """
    node = _producer(graph, PROBABILITIES)
    while node is not None and node.op_type in ("Cast", "Identity"):
        node = _producer(graph, node.input[0])
    if node is not None and node.op_type == "Softmax":
        return node
    for other in graph.node:
        for names in (other.input, other.output):
            names[:] = [_UNCALIBRATED if name == PROBABILITIES else name for name in names]
    smallest = np.array(np.finfo(np.float32).tiny, np.float32)
    graph.initializer.append(numpy_helper.from_array(smallest, "smallest_probability"))
    make = onnx.helper.make_node
    graph.node.extend([
        make("Max", [_UNCALIBRATED, "smallest_probability"], ["positive"]),
        make("Log", ["positive"], ["logarithms"]),
        make("Softmax", ["logarithms"], [PROBABILITIES], axis=1),
    ])  # fmt: skip
    return graph.node[-1]


def _without(graph: onnx.GraphProto, name: str, kind: str, constant: str) -> str | None:
    """Remove the node that adds an earlier constant; return its other input, or None without such a node."""
    node = _producer(graph, name)
    if node is None or node.op_type != kind or constant not in node.input:
        return None
    graph.node.remove(node)
    return str(next(entry for entry in node.input if entry != constant))


def _constant_divisor(
    graph: onnx.GraphProto, name: str, value: float
) -> tuple[onnx.NodeProto, onnx.TensorProto] | None:
    """Return the division by a number that gives a tensor, and the number; None without one."""
    node = _producer(graph, name)
    if node is None or node.op_type != "Div":
        return None
    for constant in graph.initializer:
        if constant.name != node.input[1] or int(np.prod(constant.dims)) != 1:
            continue
        # In half precision it has three digits.
        if np.isclose(float(numpy_helper.to_array(constant).item()), value, rtol=2e-3):
            return node, constant
    return None


def _remove_initializer(graph: onnx.GraphProto, name: str) -> None:
    for constant in [entry for entry in graph.initializer if entry.name == name]:
        graph.initializer.remove(constant)
