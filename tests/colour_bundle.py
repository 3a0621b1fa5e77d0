"""A bundle whose model is known by heart: the mean colour of a face decides its emotion."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer.bundle.card import Card, CropRule, to_json
from fer.bundle.files import CARD, MODEL, sha256
from fer.faces.face import Face
from fer.labels import FER7

SIZE = 8
# Logits of a colour of 0 to 1: red is angry, green disgust, blue sad, black neutral.
WEIGHTS = np.zeros((3, 7), np.float32)
for _channel, _emotion in enumerate(("angry", "disgust", "sad")):
    WEIGHTS[_channel, FER7.index(_emotion)] = 8
BIAS = np.array([0, 0, 0, 0, 0, 0, 4], np.float32)


def expected(colour):
    """Probabilities of a face of one colour, computed without the model."""
    powers = np.exp(np.array(colour, float) / 255 @ WEIGHTS + BIAS)
    return powers / powers.sum()


def write_bundle(folder: Path, abstain_below: float | None = 0.6, name: str = "colours") -> Path:
    """Write ``model.onnx`` and ``card.json``."""
    folder.mkdir(parents=True)
    onnx.save(_model(), folder / MODEL)
    rule = CropRule("centre", (), False, 0.5, 0.0)  # half of a patch: nothing of its neighbours
    about = {"sha256": sha256(folder / MODEL), "bytes": 1, "parameters": 28, "architecture": "by hand"}
    licence = {"weights": "none", "data": "none"}
    card = Card(name, 3, FER7, SIZE, rule, 1.0, abstain_below, False, "fp32", about, {}, {}, {}, licence, "")
    (folder / CARD).write_text(to_json(card))
    return folder


def _model() -> onnx.ModelProto:
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7])
    nodes = [
        helper.make_node("Cast", ["faces"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "sides"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"sides": np.array([1, 2]), "weights": WEIGHTS / 255, "bias": BIAS}
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "colours", [faces], [probabilities], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(list(FER7.names))})
    return model


class PatchDetector:
    """Finds the patches of a test picture: squares of one colour on white, each in a cell of 32 pixels."""

    name = "patches"

    def __call__(self, picture: np.ndarray) -> list[Face]:
        cells = [
            (x, y) for y in range(0, picture.shape[0] - 31, 32) for x in range(0, picture.shape[1] - 31, 32)
        ]
        return [Face((x, y, 32.0, 32.0), 0.9) for x, y in cells if (picture[y, x] != 255).any()]


def patches(*colours: tuple[int, int, int] | None) -> np.ndarray:
    """A picture of patches side by side; None leaves a cell white."""
    picture = np.full((32, 32 * max(1, len(colours)), 3), 255, np.uint8)
    for number, colour in enumerate(colours):
        if colour is not None:
            picture[:, 32 * number : 32 * (number + 1)] = colour
    return picture
