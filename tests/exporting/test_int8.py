"""int8: it works, and it ships only where it is worth it."""

import numpy as np
import onnx
import pytest
from lively import lively

from fer.data.synthetic import read_synthetic
from fer.exporting import int8
from fer.exporting.graph import Deployed
from fer.exporting.onnx_file import metadata, write_onnx
from fer.labels import FER7


@pytest.fixture(scope="module")
def pictures():
    return np.asarray(read_synthetic(192, 0, 0, 48, num_workers=1).images)


@pytest.fixture(scope="module")
def files(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("int8")
    network = lively("fast_cnn", 48)
    write_onnx(Deployed(network, True, 1.2, 48), folder / "fp32.onnx", metadata("tiny", FER7, 1))
    int8.quantise(folder / "fp32.onnx", folder / "int8.onnx", pictures[:128])
    return folder / "fp32.onnx", folder / "int8.onnx"


def test_whole_numbers_answer_nearly_alike(files, pictures):
    plain, small = (int8.answers(path, pictures[128:]) for path in files)
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
    ("faster", "right", "kept", "said"),
    [
        ((1.6, 1.7), 1.0, True, "int8 ships"),
        ((1.6, 1.4), 1.0, False, "1.40 times as fast with 64"),
        ((1.2, 2.0), 1.0, False, "1.20 times as fast with 1"),
        ((2.0, 2.0), 0.99, False, "-1.00 points"),
        ((2.0, 2.0), 0.998, True, "-0.20 points"),
    ],
)
def test_only_what_is_faster_and_as_right_ships(faster, right, kept, said, monkeypatch, files):
    """Speeds are told; accuracies come from told answers, of which some are made wrong."""
    speeds = dict(zip((1, 64), faster, strict=True))
    told = {"fp32_ms": 2.0, "int8_ms": 1.0}
    monkeypatch.setattr(int8, "compare_speed", lambda *_: told | {"times_faster": speeds[_[3]]})
    target = np.zeros(1000, np.int64)
    wrong = round(1000 * (1 - right))

    def answers(path, _):
        probs = np.eye(7)[np.zeros(1000, np.int64)]
        probs[: wrong if path == files[1] else 0] = np.eye(7)[1]
        return probs

    monkeypatch.setattr(int8, "answers", answers)
    verdict = int8.judge(*files, np.zeros((1000, 48, 48, 1), np.uint8), target)
    assert verdict.kept is kept
    assert said in verdict.report["said"]
    assert ("ships instead" in verdict.report["said"]) is not kept
    assert verdict.report["accuracy"] == {"fp32": 1.0, "int8": pytest.approx(right)}


def test_speed_is_the_median_of_turns_that_both_take(files, pictures, monkeypatch):
    """A turn in which the machine was busy with something else changes nothing."""
    turns = iter([[2.0, 1.0]] * 7 + [[90.0, 1.0]] + [[3.0, 1.0]] * 7)
    swaps = []

    def turn(calls, repeats, swapped):
        swaps.append(swapped)
        return next(turns)

    monkeypatch.setattr(int8, "_turn", turn)
    found = int8.compare_speed(*files, pictures, 4)
    assert found == {"fp32_ms": 3000.0, "int8_ms": 1000.0, "times_faster": 3.0}
    assert swaps == [False, True] * 7 + [False]
