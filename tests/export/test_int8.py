"""int8 export: quantisation works, and int8 is used only if it is faster and as accurate."""

import numpy as np
import onnx
import pytest
from random_weights import random_network

from fer.core.labels import FER7
from fer.data.synthetic import read_synthetic
from fer.export import quantize
from fer.export.graph import ExportModel, metadata, write_onnx


@pytest.fixture(scope="module")
def images():
    return np.asarray(read_synthetic(192, 0, 0, 48, num_workers=1).images)


@pytest.fixture(scope="module")
def files(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("int8")
    network = random_network("fast_cnn", 48)
    write_onnx(ExportModel(network, True, 1.2, 48), folder / "fp32.onnx", metadata("tiny", FER7, 1))
    quantize.quantise(folder / "fp32.onnx", folder / "int8.onnx", images[:128])
    return folder / "fp32.onnx", folder / "int8.onnx"


def test_int8_outputs_are_similar(files, images):
    plain, small = (quantize.predict_probabilities(path, images[128:]) for path in files)
    assert (plain.argmax(1) == small.argmax(1)).mean() > 0.9
    assert 0 < np.abs(plain - small).mean() < 0.05
    assert files[1].stat().st_size < 0.5 * files[0].stat().st_size


def test_weights_are_quantised_by_channel(files):
    model = onnx.load(files[1])
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("DequantizeLinear") > kinds.count("Conv") > 0
    assert any(node.op_type == "DequantizeLinear" and any(a.name == "axis" for a in node.attribute)
               for node in model.graph.node)  # fmt: skip


@pytest.mark.parametrize(
    ("speedups", "accuracy", "accepted", "message"),
    [
        ((1.6, 1.7), 1.0, True, "int8 is used"),
        ((1.6, 1.4), 1.0, False, "1.40 times as fast at batch size 64"),
        ((1.2, 2.0), 1.0, False, "1.20 times as fast at batch size 1"),
        ((2.0, 2.0), 0.99, False, "-1.00 points"),
        ((2.0, 2.0), 0.998, True, "-0.20 points"),
    ],
)
def test_int8_is_used_only_if_faster_and_as_accurate(
    speedups, accuracy, accepted, message, monkeypatch, files
):
    """Speeds and outputs are fake; some outputs are wrong, to get the accuracy."""
    speeds = dict(zip((1, 64), speedups, strict=True))
    fake = {"fp32_ms": 2.0, "int8_ms": 1.0}
    monkeypatch.setattr(quantize, "compare_speed", lambda *_: fake | {"times_faster": speeds[_[3]]})
    target = np.zeros(1000, np.int64)
    wrong = round(1000 * (1 - accuracy))

    def predict(path, _):
        probs = np.eye(7)[np.zeros(1000, np.int64)]
        probs[: wrong if path == files[1] else 0] = np.eye(7)[1]
        return probs

    monkeypatch.setattr(quantize, "predict_probabilities", predict)
    report = quantize.evaluate_int8(*files, np.zeros((1000, 48, 48, 1), np.uint8), target)
    assert report["kept"] is accepted
    assert message in report["said"]
    assert ("fp32 is used" in report["said"]) is not accepted
    assert report["accuracy"] == {"fp32": 1.0, "int8": pytest.approx(accuracy)}


@pytest.mark.parametrize(
    ("n", "fp32_wrong", "int8_wrong", "accepted"),
    [
        (1000, (), (), True),
        # Equal accuracies, but the models are right on different images.
        (1000, range(40), range(40, 80), False),
        (1000, range(4), range(4, 8), True),
        # Too few images to tell.
        (100, (), (), False),
    ],
)
def test_int8_is_judged_image_by_image(n, fp32_wrong, int8_wrong, accepted, monkeypatch, files):
    target = np.zeros(n, np.int64)

    def predict(path, _):
        probs = np.eye(7)[target]
        probs[list(fp32_wrong if path == files[0] else int8_wrong)] = np.eye(7)[1]
        return probs

    monkeypatch.setattr(quantize, "predict_probabilities", predict)
    monkeypatch.setattr(quantize, "compare_speed", lambda *_: {"times_faster": 2.0})
    report = quantize.evaluate_int8(*files, np.zeros((n, 48, 48, 1), np.uint8), target)
    assert report["kept"] is accepted
    paired = report["paired"]
    assert (paired["only_fp32"], paired["only_int8"]) == (len(int8_wrong), len(fp32_wrong))
    assert (paired["loss"], paired["same"]) == (0.0, n - 2 * len(fp32_wrong))
    assert f"the same answer on {paired['same']:,} of {n:,} images, only fp32 correct on" in report["said"]
    assert f"only int8 on {paired['only_int8']} (McNemar p = 1)" in report["said"]


def test_speed_is_the_median_over_the_rounds(files, images, monkeypatch):
    """One round under other load does not change the result."""
    rounds = [[2.0, 1.0]] * 7 + [[90.0, 1.0]] + [[3.0, 1.0]] * 7
    monkeypatch.setattr(quantize, "time_in_turns", lambda calls, seconds: np.array(rounds))
    speed = quantize.compare_speed(*files, images, 4)
    assert speed == {"fp32_ms": 3000.0, "int8_ms": 1000.0, "times_faster": 3.0}
