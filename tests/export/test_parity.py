"""The exported file gives the outputs of torch; a file that does not is an error."""

import copy
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from random_weights import random_network

from fer.bundle.runtime import open_session
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.synthetic import read_synthetic
from fer.export import parity
from fer.export.graph import ExportModel, finalize, metadata, write_onnx
from fer.export.parity import check_parity

TEMPERATURE = 1.4
ABOUT = metadata("tiny", FER7, 1)


def faces(color, number=64):
    return np.asarray(read_synthetic(number, 0, 0, 48, color, num_workers=1).images)


@pytest.fixture(scope="module")
def network():
    """A network for grayscale images, with attention."""
    return random_network("fast_cnn", 48, attention="cbam")


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("parity") / "model.onnx"
    write_onnx(ExportModel(network, True, TEMPERATURE, 48), path, ABOUT)
    return path


def outputs(path, images):
    return open_session(path).run(["probabilities"], {"faces": images})[0]


def test_the_report_has_the_differences(network, path):
    images = faces(color=False)
    report = check_parity(path, network, images, TEMPERATURE)
    assert 0 < report["max_difference"] <= 1e-5
    assert 0 < report["max_attention_difference"] <= 1e-5
    assert (report["images"], report["same_answer"], report["batch_sizes"]) == (64, 64, [1, 2, 7])
    # The outputs differ between images; otherwise this test would prove nothing.
    assert outputs(path, np.repeat(images, 3, 3)).std(0).max() > 0.02


def test_colour_is_converted_to_gray_as_in_opencv(network, path):
    colour = faces(color=True)
    gray = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in colour])
    with torch.inference_mode():
        expected, from_blue = (
            (network(torch.from_numpy(part.copy())[:, None].float() / 255) / TEMPERATURE).softmax(1).numpy()
            for part in (gray, colour[..., 2])
        )
    assert np.abs(outputs(path, colour) - expected).max() < 0.01  # OpenCV rounds a few pixels differently
    assert np.abs(from_blue - expected).max() > 0.1


@pytest.mark.parametrize("size", [24, 32, 96])
def test_images_are_resized_in_the_graph_as_in_training(size, tmp_path):
    """Downscaled by 2, downscaled with antialiasing, upscaled; files and crops have 48 px."""
    model, images = random_network("fast_cnn", size, attention="cbam"), faces(color=False, number=21)
    write_onnx(ExportModel(model, True, TEMPERATURE, 48, size), tmp_path / "model.onnx", ABOUT)
    report = check_parity(tmp_path / "model.onnx", model, images, TEMPERATURE, size=size)
    assert report["max_difference"] <= 1e-5
    attention = open_session(tmp_path / "model.onnx").run(["attention"], {"faces": np.repeat(images, 3, 3)})[
        0
    ]
    assert attention.shape == (21, 48, 48)


@pytest.mark.parametrize("mistake", ["temperature", "weights", "images"])
def test_a_model_with_other_outputs_is_an_error(mistake, network, path, monkeypatch):
    images = faces(color=False)
    if mistake == "weights":
        network = copy.deepcopy(network)
        network.head.bias.data[2] += 0.001
    if mistake == "images":
        monkeypatch.setattr("fer.export.parity.to_rgb", lambda part: np.repeat(part, 3, 3)[:, :, ::-1])
    with pytest.raises(FerError, match="differs from the trained model"):
        check_parity(path, network, images, 1.0 if mistake == "temperature" else TEMPERATURE)


# A clear difference, and a tie.
@pytest.mark.parametrize(("gap", "same"), [(2e-3, 0), (1e-7, 3)])
def test_equal_predictions_are_counted(gap, same, monkeypatch):
    """fp16 may swap two emotions within the tolerance; the card has the number of equal predictions."""
    torch_probs = np.array([[0.5 + gap / 2, 0.5 - gap / 2]] * 3)
    monkeypatch.setattr(parity, "_torch_outputs", lambda *_: {"probabilities": torch_probs})
    monkeypatch.setattr(parity, "onnx_outputs", lambda *_: {"probabilities": torch_probs[:, ::-1]})
    images = np.zeros((3, 8, 8, 1), np.uint8)
    assert check_parity("x", None, images, 1.0, "fp16")["same_answer"] == same


def test_fp32_may_not_change_a_prediction(monkeypatch):
    torch_probs = np.array([[0.5 + 3e-6, 0.5 - 3e-6]])
    monkeypatch.setattr(parity, "_torch_outputs", lambda *_: {"probabilities": torch_probs})
    monkeypatch.setattr(parity, "onnx_outputs", lambda *_: {"probabilities": torch_probs[:, ::-1]})
    with pytest.raises(FerError, match="0 predictions are the same"):
        check_parity(Path("model.onnx"), None, np.zeros((1, 8, 8, 1), np.uint8), 1.0)


def test_images_without_contrast(network, path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), np.uint8)
    constant = np.concatenate([np.full((1, 48, 48, 1), level, np.uint8) for level in (0, 127, 255)])
    check_parity(path, network, np.concatenate([constant, noise]), TEMPERATURE)


def test_the_file_has_metadata_and_no_local_paths(path):
    session, content = open_session(path), path.read_bytes()
    assert session.get_modelmeta().custom_metadata_map == ABOUT
    assert [output.name for output in session.get_outputs()] == ["probabilities", "attention"]
    for secret in (b".py", b"/fer/", b"torch/", b"stack_trace", str(path.parent).encode()):
        assert secret not in content
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_metadata_can_be_replaced(path, tmp_path):
    (tmp_path / "model.onnx").write_bytes(path.read_bytes())
    finalize(tmp_path / "model.onnx", {"labels": "[]"})
    assert open_session(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map == {"labels": "[]"}
