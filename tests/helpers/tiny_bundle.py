"""Write small bundles without torch, whose model classifies by the mean color of the face."""

import json
from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer.bundle.card import Card, CropRule
from fer.bundle.files import MODEL, read_bundle, sha256, write_card
from fer.core.labels import FER7

SIDE = 48
CROP = CropRule("synthetic", ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)), True, 1.1, 0.02)
HASHES = {"pixels_sha256": "a" * 64, "labels_sha256": "b" * 64}


def write_bundle(
    folder,
    labels=FER7,
    graph_labels=None,
    attention=False,
    seed=0,
    accuracy=0.6,
    hashes=HASHES,
    weights=None,
    **card,
):
    """Write a bundle.

    Args:
        graph_labels: Labels in the ONNX file; None: those of the card.
        weights: Weights ``(3, K)`` and bias ``(K,)`` of the mean color; None: random from ``seed``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = weights or (model_weights(len(labels), seed), np.zeros(len(labels), np.float32))
    write_model(folder / MODEL, graph_labels or labels, attention, weights, card.get("image_size", SIDE))
    content = {
        "name": "tiny", "version": 0, "labels": labels, "image_size": SIDE, "crop": CROP, "temperature": 1.2,
        "abstain_below": 0.5, "attention": attention, "precision": "fp32",
        "model": {"file": MODEL, "sha256": sha256(folder / MODEL), "parameters": 28,
                  "bytes": (folder / MODEL).stat().st_size, "architecture": "mean_colour"},
        "metrics": {"val": validation(accuracy, hashes)}, "training": training(), "export": export(),
        "licence": {"data": "None.", "weights": "None."},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    write_card(folder, Card(**content | card))
    return read_bundle(folder)


def validation(accuracy, hashes):
    figures = {"accuracy": {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02},
               "macro_f1": {"value": accuracy - 0.05, "low": None, "high": None}}  # fmt: skip
    return {"split": "PublicTest", "n": 3589, "selection_split": True, "source": "model.onnx",
            "manifest": dict(hashes), "figures": figures}  # fmt: skip


def training():
    return {"command": None, "experiment": "tiny", "run": "tiny_s0_abcd", "seed": 0, "epoch": 3, "epochs": 4,
            "commit": None, "data": "synthetic", "manifest": {}, "weights_sha256": "c" * 64,
            "recipe_sha256": "d" * 64, "recipe": {}}  # fmt: skip


def export():
    parity = {"images": 256, "pictures": "synthetic faces", "batch_sizes": [1, 2, 7], "tolerance": 1e-5,
              "max_difference": 0.0, "same_answer": 256}  # fmt: skip
    return {"versions": {}, "opset": 18, "parity": parity, "calibration": {"split": "PublicTest"},
            "quantisation": None}  # fmt: skip


def write_model(path, labels, attention, parameters, side):
    """Write softmax(mean color @ weights + bias); the attention map is the red channel."""
    weights, bias = parameters
    nodes = [
        helper.make_node("Cast", ["faces"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "axes"], ["colour"], keepdims=0),
        helper.make_node("Gemm", ["colour", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(labels)])]
    constants = {"scale": np.float32(1 / 255), "axes": np.array([1, 2]), "weights": weights, "bias": bias}
    if attention:
        nodes.append(helper.make_node("Gather", ["scaled", "red"], ["attention"], axis=3))
        outputs.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["N", side, side]))
        constants["red"] = np.array(0)
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", side, side, 3])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [faces], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"name": "tiny", "labels": json.dumps(labels.names), "schema_version": "1"})
    onnx.save(model, path)


def model_weights(num_classes, seed=0):
    return np.random.default_rng(seed).normal(size=(3, num_classes)).astype(np.float32) * 3


def expected_probs(faces, num_classes, seed=0):
    """Return the expected probabilities, computed in NumPy."""
    logits = (faces.astype(np.float64) / 255).mean((1, 2)) @ model_weights(num_classes, seed)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
