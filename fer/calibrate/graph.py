"""Change the calibration in an ONNX file: the divisor of the logits, and what is added before the softmax.

Every program that runs the file gives the same probabilities, whether or not it knows of calibrations.
"""

from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

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
    logits = _without_log_prior(graph, softmax.input[0])
    logits, before, dtype = _without_divisor(graph, logits, before)
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    names = chain([TEMPERATURE], (f"{TEMPERATURE}_{number}" for number in count()))
    divisor = next(name for name in names if name not in used)
    values = {divisor: np.array(after / before, dtype)}
    make, calibrated = onnx.helper.make_node, f"{divisor}_divided"
    nodes = [make("Div", [logits, divisor], [calibrated], name=calibrated)]
    if log_prior is not None:
        values[LOG_PRIOR] = np.asarray(log_prior, dtype)
        nodes.append(make("Add", [calibrated, LOG_PRIOR], ["corrected"], name=LOG_PRIOR))
    softmax.input[0] = nodes[-1].output[0]
    constants = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    position = list(graph.node).index(softmax)
    for node in reversed(nodes):
        graph.node.insert(position, node)
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


def _without_log_prior(graph: onnx.GraphProto, name: str) -> str:
    """Remove the node that adds an earlier `LOG_PRIOR` to a tensor, if there is one; return the tensor."""
    node = _producer(graph, name)
    if node is None or node.op_type != "Add" or LOG_PRIOR not in node.input:
        return name
    graph.node.remove(node)
    return next(str(entry) for entry in node.input if entry != LOG_PRIOR)


def _without_divisor(
    graph: onnx.GraphProto, name: str, temperature: float
) -> tuple[str, float, np.dtype[Any]]:
    """Remove the node that divides a tensor by a temperature, if there is one.

    Returns:
        The tensor before; by what it is divided already: 1, or ``temperature`` if no node divides it; and its
        type.
    """
    node = _producer(graph, name)
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    if node is not None and node.op_type == "Div":
        value = constants.get(node.input[1])
        # In half precision it has three digits.
        if value is not None and value.size == 1 and np.isclose(value.item(), temperature, rtol=2e-3):
            graph.node.remove(node)
            return str(node.input[0]), 1.0, value.dtype
    return name, temperature, np.dtype(np.float32)
