"""ONNX files are written for old and other runtimes: one operator set, lowest opset and IR, no ``Resize``."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from random_weights import random_network

import fer
from fer.data.synthetic import read_synthetic
from fer.export.compatibility import MIN_OPSET, make_compatible
from fer.export.graph import ExportModel, finalize, interpolate, interpolation_matrix, write_onnx
from fer.export.parity import check_parity
from fer.export.quantize import quantise

pytestmark = pytest.mark.slow


def operators(model):
    return {node.op_type for node in model.graph.node}


def faces(side, number=64):
    return np.asarray(read_synthetic(number, 0, 0, side, False, seed=3, num_workers=1).images)


def run(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feeds)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (48, {}),
        (40, {}),
        (96, {}),
        (80, {}),
        (40, {"attention": "spatial", "kwargs": {"margin": 0.083}}),
        (48, {"attention": "multi_head"}),
    ],
)
def test_an_exported_file_needs_little_of_a_runtime(tmp_path, size, options):
    network, images = random_network("fast_cnn", size, **options), faces(48)
    write_onnx(ExportModel(network, True, 1.3, 48, size), tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", MIN_OPSET)]
    assert model.ir_version == 7
    # OpenVINO and OpenCV 5 ignore its antialiasing; OpenCV 4 cannot read computed sizes.
    assert not operators(model) & {"Resize", "Shape"}
    check_parity(tmp_path / "model.onnx", network, images, 1.3, size=size)


def test_int8_keeps_the_lowest_opset_and_the_first_layer_in_fp32(tmp_path):
    """The products that resize stay in fp32 too, and do not count as the first layer."""
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    network, images = random_network("fast_cnn", 64), faces(48)
    write_onnx(ExportModel(network, True, 1.3, 48, 64), fp32, {})
    quantise(fp32, int8, images)
    finalize(int8, {"labels": "[]"})
    model = onnx.load(int8)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", MIN_OPSET)]
    assert model.ir_version == 7
    quantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in model.graph.node if node.op_type in ("MatMul", "Conv")]
    assert [node.op_type for node in layers[:4]] == ["MatMul", "MatMul", "Conv", "Conv"]
    assert [quantised.isdisjoint(node.input) for node in layers[:4]] == [True, True, True, False]
    rgb = np.repeat(images, 3, axis=3)
    (expected,), (probs,) = (run(onnx.load(path), {"faces": rgb}) for path in (fp32, int8))
    assert np.abs(probs - expected).max() < 0.1


@pytest.mark.parametrize("size", [24, 40, 64, 80])
def test_products_resize_as_torch_does(size):
    images = torch.rand(4, 1, 48, 48)
    expected = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=size < 48)
    torch.testing.assert_close(
        interpolate(images, interpolation_matrix(48, size)), expected, atol=4e-6, rtol=0
    )


def small_model(size=96):
    """Return a model with what the exporter writes: computed sizes, newer forms, unused imports."""
    constants = {"zero": np.array([0]), "sides": np.array([size, size]), "axes": np.array([2, 3]),
                 "flat": np.array([-1, 3])}  # fmt: skip
    nodes = [
        helper.make_node("Shape", ["images"], ["start"], start=0, end=2),
        helper.make_node("Concat", ["start", "sides"], ["sizes"], axis=0),
        helper.make_node("Resize", ["images", "", "", "sizes"], ["large"], mode="linear", antialias=0,
                         coordinate_transformation_mode="half_pixel"),
        helper.make_node("ReduceMax", ["large", "axes"], ["means"], keepdims=0, noop_with_empty_axes=0),
        helper.make_node("Reshape", ["means", "flat"], ["values"], allowzero=1),
        helper.make_node("Size", ["images"], ["unused"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 48, 48])],
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value.astype(np.int64), name) for name, value in constants.items()],
    )
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


@pytest.mark.parametrize(("size", "opset", "resize_inputs"), [(96, 13, 3), (80, 15, 4)])
def test_a_model_is_rewritten_without_changing_its_outputs(size, opset, resize_inputs):
    """From 48 to 80 no single-precision scale gives the same pixels: the sizes stay, and need opset 15."""
    model = small_model(size)
    rewritten = make_compatible(model)
    onnx.checker.check_model(rewritten, full_check=True)
    assert [(item.domain, item.version) for item in rewritten.opset_import] == [("", opset)]
    assert "Size" not in operators(rewritten)
    (resize,) = [node for node in rewritten.graph.node if node.op_type == "Resize"]
    assert len(resize.input) == resize_inputs
    images = {"images": np.random.default_rng(0).random((3, 3, 48, 48), np.float32)}
    np.testing.assert_array_equal(run(rewritten, images)[0], run(model, images)[0])


@pytest.mark.parametrize("name", ["fer2013", "fer2013_48px"])
def test_the_shipped_models_need_little_of_a_runtime(name):
    model = onnx.load(Path(fer.__file__).parent / "zoo" / name / "model.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", MIN_OPSET)]
    assert model.ir_version == 7
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    assert all(len(node.input) == 3 for node in resizes)
