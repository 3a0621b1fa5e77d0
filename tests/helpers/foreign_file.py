"""Write small foreign ONNX files and their specs: the logits are the mean of each image times weights."""

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

LABELS = ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"]
WEIGHTS = np.linspace(-2, 2, 7, dtype=np.float32)
BIAS = np.array([0.3, 0.1, 0, -0.1, 0.2, 0, 0.4], np.float32)


def write_foreign(
    path, shape=("N", 1, 48, 48), outputs=7, softmax=False, dtype=TensorProto.FLOAT, external=None
):
    """Write a file that answers ``mean * WEIGHTS + BIAS`` for each image.

    Args:
        shape: Of the input.
        outputs: Number of outputs: the first ones of 7, or more.
        softmax: Answer probabilities.
        dtype: Type of the input.
        external: Name of a file for the weights; None: they are in the file.
    """
    weights, bias = (np.resize(values, outputs) for values in (WEIGHTS, BIAS))
    constants = {"weights": weights[None], "bias": bias, "axes": np.array([1, 2, 3])}
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["squeezed"], keepdims=0),
        helper.make_node("Unsqueeze", ["squeezed", "last"], ["mean"]),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
    ]
    constants["last"] = np.array([1])
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probs"], axis=1))
    answer = "probs" if softmax else "logits"
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", dtype, list(shape))],
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, [shape[0], outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = {"save_as_external_data": True, "location": external, "size_threshold": 60} if external else {}
    onnx.save(model, path, **options)
    return path


def write_spec(path, **changes):
    """Write a spec that fits `write_foreign`, with changes: a key, or ``input`` with some of its keys."""
    image = {"size": 48, "color": "gray", "layout": "nchw", "scale": "1/255", "mean": 0.5, "std": 0.25}
    content = {"labels": LABELS, "input": image | changes.pop("input", {}), "output": "logits"} | changes
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not ...}))
    return path


def expected_probs(faces, mean=0.5, std=0.25):
    """Return the probabilities of the first seven outputs for gray images ``(N, S, S, 3)``."""
    means = ((faces[..., 0].astype(np.float64) / 255 - mean) / std).mean((1, 2))
    powers = np.exp(means[:, None] * WEIGHTS + BIAS)
    return powers / powers.sum(1, keepdims=True)
