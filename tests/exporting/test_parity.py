"""The exported file answers as torch does, and one that does not is refused."""

import copy
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from lively import lively

from fer.bundle.runtime import open_session
from fer.data.synthetic import read_synthetic
from fer.errors import FerError
from fer.exporting import parity
from fer.exporting.graph import Deployed
from fer.exporting.onnx_file import finish, metadata, write_onnx
from fer.exporting.parity import check_parity
from fer.labels import FER7

TEMPERATURE = 1.4
ABOUT = metadata("tiny", FER7, 1)


def faces(color, number=64):
    return np.asarray(read_synthetic(number, 0, 0, 48, color, num_workers=1).images)


@pytest.fixture(scope="module")
def network():
    """A network for gray pictures, with attention."""
    return lively("fast_cnn", 48, attention="cbam")


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("parity") / "model.onnx"
    write_onnx(Deployed(network, True, TEMPERATURE, 48), path, ABOUT)
    return path


def answers(path, pictures):
    return open_session(path).run(["probabilities"], {"faces": pictures})[0]


def test_the_report_says_how_alike_they_are(network, path):
    pictures = faces(color=False)
    report = check_parity(path, network, pictures, TEMPERATURE)
    assert 0 < report["max_difference"] <= 1e-5
    assert 0 < report["max_attention_difference"] <= 1e-5
    assert (report["images"], report["same_answer"], report["batch_sizes"]) == (64, 64, [1, 2, 7])
    assert answers(path, np.repeat(pictures, 3, 3)).std(0).max() > 0.02  # else it would prove nothing


def test_colour_is_made_gray_as_opencv_does(network, path):
    colour = faces(color=True)
    gray = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in colour])
    with torch.inference_mode():
        expected, of_blue = (
            (network(torch.from_numpy(part.copy())[:, None].float() / 255) / TEMPERATURE).softmax(1).numpy()
            for part in (gray, colour[..., 2])
        )
    assert np.abs(answers(path, colour) - expected).max() < 0.01  # OpenCV rounds a few pixels otherwise
    assert np.abs(of_blue - expected).max() > 0.1


@pytest.mark.parametrize("size", [24, 32, 96])
def test_pictures_are_resized_in_the_graph_as_in_training(size, tmp_path):
    """Halved, shrunk with antialiasing, enlarged: 48 px is what the files hold, and what serving cuts out."""
    model, pictures = lively("fast_cnn", size, attention="cbam"), faces(color=False, number=21)
    write_onnx(Deployed(model, True, TEMPERATURE, 48, size), tmp_path / "model.onnx", ABOUT)
    report = check_parity(tmp_path / "model.onnx", model, pictures, TEMPERATURE, size=size)
    assert report["max_difference"] <= 1e-5
    attention = open_session(tmp_path / "model.onnx").run(
        ["attention"], {"faces": np.repeat(pictures, 3, 3)}
    )[0]
    assert attention.shape == (21, 48, 48)


@pytest.mark.parametrize("mistake", ["temperature", "weights", "pictures"])
def test_a_model_that_answers_otherwise_is_refused(mistake, network, path, monkeypatch):
    pictures = faces(color=False)
    if mistake == "weights":
        network = copy.deepcopy(network)
        network.head.bias.data[2] += 0.001
    if mistake == "pictures":
        monkeypatch.setattr("fer.exporting.parity.as_rgb", lambda part: np.repeat(part, 3, 3)[:, :, ::-1])
    with pytest.raises(FerError, match="does not answer as the trained one"):
        check_parity(path, network, pictures, 1.0 if mistake == "temperature" else TEMPERATURE)


@pytest.mark.parametrize(("gap", "answers"), [(2e-3, 0), (1e-7, 3)])  # far apart, and a tie
def test_answers_are_counted_as_they_are(gap, answers, monkeypatch):
    """Half precision may turn two near emotions round, within the tolerance: the card says how often."""
    torch_says = np.array([[0.5 + gap / 2, 0.5 - gap / 2]] * 3)
    monkeypatch.setattr(parity, "_torch_answers", lambda *_: {"probabilities": torch_says})
    monkeypatch.setattr(parity, "_onnx_answers", lambda *_: {"probabilities": torch_says[:, ::-1]})
    pictures = np.zeros((3, 8, 8, 1), np.uint8)
    assert check_parity("x", None, pictures, 1.0, "fp16")["same_answer"] == answers


def test_single_precision_may_turn_no_answer_round(monkeypatch):
    torch_says = np.array([[0.5 + 3e-6, 0.5 - 3e-6]])
    monkeypatch.setattr(parity, "_torch_answers", lambda *_: {"probabilities": torch_says})
    monkeypatch.setattr(parity, "_onnx_answers", lambda *_: {"probabilities": torch_says[:, ::-1]})
    with pytest.raises(FerError, match="the answer is the same on 0"):
        check_parity(Path("model.onnx"), None, np.zeros((1, 8, 8, 1), np.uint8), 1.0)


def test_a_picture_without_any_contrast_does_not_break_it(network, path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), np.uint8)
    dead = np.concatenate([np.full((1, 48, 48, 1), level, np.uint8) for level in (0, 127, 255)])
    check_parity(path, network, np.concatenate([dead, noise]), TEMPERATURE)


def test_the_file_says_what_it_is_and_tells_nothing_of_this_machine(path):
    session, content = open_session(path), path.read_bytes()
    assert session.get_modelmeta().custom_metadata_map == ABOUT
    assert [output.name for output in session.get_outputs()] == ["probabilities", "attention"]
    for secret in (b".py", b"/fer/", b"torch/", b"stack_trace", str(path.parent).encode()):
        assert secret not in content
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_metadata_can_be_written_anew(path, tmp_path):
    (tmp_path / "model.onnx").write_bytes(path.read_bytes())
    finish(tmp_path / "model.onnx", {"labels": "[]"})
    assert open_session(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map == {"labels": "[]"}
