"""Rewrite an ONNX model for old and other runtimes: constant ``Resize`` scales, lowest opset and IR."""

import copy
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxscript import ir
from onnxscript.ir.passes import common as passes

from fer.core.errors import FerError

# Since opset 13, Softmax and the reductions have today's meaning, and weights one int8 scale per channel.
MIN_OPSET = 13
# The newest that torch's exporter writes and ONNX Runtime reads.
MAX_OPSET = 24
# Reductions whose axes are an attribute before this opset, and an input from it on.
_REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
)
_AXES_AS_INPUT = 18


def make_compatible(model: onnx.ModelProto, opset: int | None = None) -> onnx.ModelProto:
    """Return a model with the same outputs that more runtimes can read.

    - The scales of a ``Resize`` are constants where that gives the same pixels: OpenCV 4's ``dnn`` module
      can read no others.
    - Unused nodes, functions and imports of operator sets are removed.
    - Opset and IR version are the lowest in which the graph is valid; the opset is at least `MIN_OPSET`.

    Args:
        model: A model in opset 13 to 18, or in ``opset``.
        opset: Opset of the result; None: the lowest.

    Raises:
        FerError: The graph is not valid in ``opset``.
    """
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    _fix_resize_scales(model.graph)
    model = _remove_unused(model)
    model = _remove_unused(_lower_opset(model) if opset is None else _in_opset(model, opset))
    # Every runtime infers them.
    del model.graph.value_info[:]
    model.ir_version = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    return model


def _remove_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    module = ir.from_proto(model)
    passes.RemoveUnusedNodesPass()(module)
    passes.RemoveUnusedFunctionsPass()(module)
    passes.RemoveUnusedOpsetsPass()(module)
    return ir.to_proto(module)


def _fix_resize_scales(graph: onnx.GraphProto) -> None:
    """Replace the output sizes of each ``Resize``, which the exporter computes in the graph, by scales.

    A size is the product with the scale, rounded down. Where no single-precision number gives it exactly, or
    a filter depends on the scale, another last digit would change the outputs: the sizes stay.
    """
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    for node in graph.node:
        if node.op_type != "Resize" or len(node.input) < 4:
            continue
        before, after = shapes.get(node.input[0], [0, 0]), shapes.get(node.output[0], [0, 0])
        antialias = any(item.name == "antialias" and item.i for item in node.attribute)
        if antialias or len(before) != len(after) or not all(before[1:] + after[1:]):
            continue
        scales = np.array([1, *np.divide(after[1:], before[1:])], np.float32)
        if (np.floor(scales[1:].astype(float) * before[1:]) == after[1:]).all():
            name = f"{node.output[0]}_scales"
            graph.initializer.append(numpy_helper.from_array(scales, name))
            node.input[2:] = [name]


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """Return the sizes of a tensor; 0 for the batch and other unknown sizes."""
    return [size.dim_value for size in value.type.tensor_type.shape.dim]


def _lower_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in the lowest opset in which it is valid."""
    current = standard_opset(model)
    for opset in range(MIN_OPSET, current):
        try:
            candidate = _with_opset(model, opset)
            onnx.checker.check_model(candidate, full_check=True)
        except (onnx.defs.SchemaError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            continue
        return candidate
    return model


def _in_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the model in an opset.

    Raises:
        FerError: It is not valid there.
    """
    if opset >= (current := standard_opset(model)):
        return model if opset == current else _with_opset(model, opset)
    if (lowest := standard_opset(_lower_opset(model))) > opset:
        raise FerError(
            f"--opset: expected {lowest} or higher for this model, whose operators older opsets lack, got "
            f"{opset}. Correct it, or omit it for the lowest possible."
        )
    return _with_opset(model, opset)


def _with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a copy that declares an older opset; whether the graph is valid there is not checked.

    From `MIN_OPSET` on, later versions of an operator only add types, inputs and attributes to it, except for
    the axes of reductions. So a node that is valid in an older version has the same meaning there, once
    attributes that the version does not have are removed, if they have their default value.
    """
    candidate = copy.deepcopy(model)
    for item in candidate.opset_import:
        item.version = item.version if item.domain else opset
    constants = {tensor.name: tensor for tensor in candidate.graph.initializer}
    for node in candidate.graph.node:
        if node.domain:
            continue
        known = onnx.defs.get_schema(node.op_type, opset).attributes
        redundant = _redundant_attributes(node, standard_opset(model), constants)
        kept = [item for item in node.attribute if item.name in known or item.name not in redundant]
        if node.op_type in _REDUCTIONS and opset < _AXES_AS_INPUT and len(node.input) == 2:
            axes = numpy_helper.to_array(constants[node.input.pop()]).tolist()
            kept.append(helper.make_attribute("axes", axes))
        del node.attribute[:]
        node.attribute.extend(kept)
    return candidate


def _redundant_attributes(
    node: onnx.NodeProto, opset: int, constants: Mapping[str, onnx.TensorProto]
) -> set[str]:
    """Return the attributes that have no effect: those with their default value."""
    schema = onnx.defs.get_schema(node.op_type, opset).attributes
    names = {item.name for item in node.attribute if item == schema[item.name].default_value}
    if node.op_type == "Reshape" and (shape := constants.get(node.input[1])) is not None:
        # What a 0 in the shape means makes no difference to a shape without one.
        names |= {"allowzero"} if numpy_helper.to_array(shape).all() else set()
    return names


def standard_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model imports."""
    return next(item.version for item in model.opset_import if item.domain == "")
