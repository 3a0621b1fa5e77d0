"""Calibrations in ONNX files: what the file answers, in each precision."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import SIDE, model_weights, write_model

from fer.analysis.metrics.temperature import scaled_probs
from fer.bundle.registry import ZOO
from fer.bundle.runtime import open_session
from fer.calibrate.graph import LOG_PRIOR, TEMPERATURE, change_calibration
from fer.core.labels import FER7

PRIOR = np.linspace(-1, 1, 7)
FACES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def answers(path, faces=FACES):
    return open_session(path).run(["probabilities"], {"faces": faces})[0]


def logits_of(probs, temperature):
    return temperature * np.log(np.maximum(probs, np.finfo(np.float32).tiny).astype(np.float64))


@pytest.mark.parametrize("name", ["fer2013", "fer2013_48px"])
def test_a_shipped_model_with_another_calibration(tmp_path, name):
    source, target = ZOO / name / "model.onnx", tmp_path / "new.onnx"
    from fer.bundle.files import read_bundle

    before = read_bundle(ZOO / name).card.temperature
    change_calibration(source, target, (before, 2.0), PRIOR, {"name": "mine"})
    expected = scaled_probs(logits_of(answers(source), before), 2.0, PRIOR)
    np.testing.assert_allclose(answers(target), expected, atol=1e-5)
    model = onnx.load(target)
    # The earlier division is replaced, not repeated.
    assert [node.op_type for node in model.graph.node][-3:] == ["Div", "Add", "Softmax"]
    assert {entry.key: entry.value for entry in model.metadata_props}["name"] == "mine"
    assert model.opset_import[0].version == onnx.load(source).opset_import[0].version
    # Another runtime answers the same.
    network = cv2.dnn.readNetFromONNX(str(target))
    network.setInput(FACES, "faces")
    np.testing.assert_allclose(network.forward("probabilities"), expected, atol=0.1)


def test_a_second_calibration_replaces_the_first(tmp_path):
    source = ZOO / "fer2013" / "model.onnx"
    first, second, third = (tmp_path / f"{i}.onnx" for i in range(3))
    change_calibration(source, first, (0.7906847083592742, 2.0), PRIOR, {})
    change_calibration(first, second, (2.0, 1.0), -PRIOR, {})
    change_calibration(second, third, (1.0, 0.7906847083592742), None, {})
    expected = scaled_probs(logits_of(answers(source), 0.7906847083592742), 1.0, -PRIOR)
    np.testing.assert_allclose(answers(second), expected, atol=1e-5)
    np.testing.assert_allclose(answers(third), answers(source), atol=1e-6)
    kinds = [len(onnx.load(path).graph.node) for path in (source, third)]
    assert kinds[0] == kinds[1]
    names = {entry.name for entry in onnx.load(third).graph.initializer}
    assert TEMPERATURE in names
    assert LOG_PRIOR not in names


def test_a_model_without_a_division_gets_one(tmp_path):
    source, first, second = (tmp_path / f"{i}.onnx" for i in range(3))
    write_model(source, FER7, False, (model_weights(7), np.zeros(7, np.float32)), SIDE)
    change_calibration(source, first, (1.0, 1.5), PRIOR, {})
    np.testing.assert_allclose(
        answers(first), scaled_probs(logits_of(answers(source), 1.0), 1.5, PRIOR), atol=1e-6
    )
    change_calibration(first, second, (1.5, 0.5), None, {})
    np.testing.assert_allclose(answers(second), scaled_probs(logits_of(answers(source), 1.0), 0.5), atol=1e-6)


def test_a_mean_of_probabilities_is_calibrated_too(tmp_path):
    source, target = tmp_path / "0.onnx", tmp_path / "1.onnx"
    write_model(source, FER7, False, (model_weights(7), np.zeros(7, np.float32)), SIDE)
    model = onnx.load(source)
    model.graph.node[-1].output[0] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "two"))
    model.graph.node.append(helper.make_node("Add", ["one", "one"], ["sum"]))
    model.graph.node.append(helper.make_node("Div", ["sum", "two"], ["probabilities"]))
    onnx.save(model, source)
    change_calibration(source, target, (1.2, 2.4), PRIOR, {})
    expected = scaled_probs(logits_of(answers(source), 1.2), 2.4, PRIOR)
    np.testing.assert_allclose(answers(target), expected, atol=1e-6)
    again = tmp_path / "2.onnx"
    change_calibration(target, again, (2.4, 1.2), None, {})
    np.testing.assert_allclose(answers(again), answers(source), atol=1e-6)


def test_half_precision_stays_half(tmp_path):
    source, target = tmp_path / "0.onnx", tmp_path / "1.onnx"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Div", ["half", "t"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], ["small"], axis=1),
            helper.make_node("Cast", ["small"], ["probabilities"], to=TensorProto.FLOAT),
        ],
        "half",
        [value("faces", TensorProto.FLOAT, ["N", 7])],
        [value("probabilities", TensorProto.FLOAT, ["N", 7])],
        [numpy_helper.from_array(np.array(0.79068, np.float16), "t")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), source)
    change_calibration(source, target, (0.79068, 1.7), PRIOR, {})
    logits = np.random.default_rng(1).normal(size=(4, 7)).astype(np.float32)
    expected = scaled_probs(logits, 1.7, PRIOR)
    np.testing.assert_allclose(answers(target, logits), expected, atol=2e-3)
