"""YuNet's file for images of any size."""

import os

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from fer.core.errors import FerError
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.detectors import YUNET_ENV_VAR
from fer.faces.yunet import fetch_yunet
from fer.web import detector
from fer.web.detector import any_size_detector


@pytest.fixture
def fixed_size_file(tmp_path, monkeypatch):
    """A network with a fixed size of its input, output, and a value between, which passes for YuNet."""
    nodes = [
        helper.make_node("Relu", ["input"], ["middle"]),
        helper.make_node("AveragePool", ["middle"], ["output"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    shapes = {"input": [1, 3, 640, 640], "middle": [1, 3, 640, 640], "output": [1, 3, 80, 80]}
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    }
    graph = helper.make_graph(
        nodes, "yunet", [values["input"]], [values["output"]], value_info=[values["middle"]]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(model, tmp_path / "yunet.onnx")
    monkeypatch.setattr(detector, "YuNet", lambda path: type("File", (), {"model_file": path}))
    return tmp_path / "yunet.onnx"


def test_a_network_of_a_fixed_size_takes_any_size(fixed_size_file):
    content = any_size_detector(fixed_size_file)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert not model.graph.value_info
    before = onnx.load(fixed_size_file)
    assert model.graph.node == before.graph.node
    assert model.opset_import == before.opset_import
    pixels = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    (pooled,) = session.run(None, {"input": pixels})
    np.testing.assert_allclose(pooled, pixels.reshape(1, 3, 8, 8, 12, 8).mean((3, 5)), rtol=1e-5)


def test_a_network_that_needs_its_size_is_refused(fixed_size_file):
    model = onnx.load(fixed_size_file)
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["middle", "shape"], ["output"]))
    shape = np.array([1, 3, 640 * 640])
    model.graph.initializer.append(onnx.numpy_helper.from_array(shape, "shape"))
    onnx.save(model, fixed_size_file)
    with pytest.raises(FerError, match="expected YuNet for images of any size, but ONNX Runtime cannot"):
        any_size_detector(fixed_size_file)


@pytest.mark.skipif(not os.environ.get(YUNET_ENV_VAR), reason="needs YuNet's file")
def test_yunet_gives_the_scores_that_opencv_gives():
    image = cv2.resize(render_sample(SAMPLES[-1])[..., ::-1], (320, 128))
    session = ort.InferenceSession(any_size_detector(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pixels = image.transpose(2, 0, 1)[None].astype(np.float32)
    outputs = dict(zip(names, session.run(None, {"input": pixels}), strict=True))
    score = max(np.sqrt(outputs[f"cls_{side}"] * outputs[f"obj_{side}"]).max() for side in (8, 16, 32))
    yunet = cv2.FaceDetectorYN.create(os.environ[YUNET_ENV_VAR], "", (320, 128), 0.6)
    assert yunet.detect(image)[1][:, 14].max() == pytest.approx(score, abs=1e-4)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"text")
    with pytest.raises(FerError, match="expected the face detector YuNet"):
        any_size_detector(tmp_path / "other.onnx")


def test_without_a_network_the_page_advises_no_other_detector(monkeypatch, tmp_path):
    monkeypatch.delenv(YUNET_ENV_VAR, raising=False)
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(detector, "fetch_yunet", lambda: fetch_yunet("http://localhost:9/yunet.onnx"))
    with pytest.raises(FerError, match="cannot be downloaded") as error:
        any_size_detector()
    assert str(error.value).endswith("Name the file with FER_YUNET_MODEL=FILE.")
