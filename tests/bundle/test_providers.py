"""Devices: which one is chosen, and a clear message where one is not installed."""

import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from tiny_bundle import SIDE, expected_probs, write_bundle

from fer.bundle import providers
from fer.bundle.providers import choose_device
from fer.bundle.runtime import OnnxClassifier
from fer.core.device import DEVICE_VARIABLE, use_device
from fer.core.errors import FerError

FACES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)


def have(monkeypatch, *names, gpu=True):
    """Let ONNX Runtime have these providers, and OpenVINO's package be missing."""
    monkeypatch.setattr(providers, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*names, "CPUExecutionProvider"])
    monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: None)


def test_auto_is_cuda_where_onnx_runtime_has_it_and_else_the_cpu(monkeypatch):
    have(monkeypatch)
    assert choose_device() == choose_device("auto") == "cpu"
    have(monkeypatch, "CoreMLExecutionProvider", "OpenVINOExecutionProvider")
    assert choose_device("auto") == "cpu"
    have(monkeypatch, "CUDAExecutionProvider")
    assert choose_device("auto") == "cuda"
    assert choose_device("cpu") == "cpu"
    # The package onnxruntime-gpu on a machine without a GPU.
    have(monkeypatch, "CUDAExecutionProvider", gpu=False)
    assert choose_device("auto") == "cpu"


def test_there_is_no_gpu_without_its_driver(monkeypatch):
    def load(name):
        raise OSError(name)

    monkeypatch.setattr(providers.ctypes, "CDLL", load)
    assert not providers._has_gpu.__wrapped__()


def test_the_variable_is_the_default_and_an_option_overrides_it(monkeypatch):
    have(monkeypatch, "CUDAExecutionProvider")
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert choose_device("auto") == "cpu"
    assert choose_device("cuda") == "cuda"


@pytest.mark.parametrize(
    ("device", "what_to_do"),
    [("cuda", "onnxruntime-gpu"), ("openvino", "fer-lightning[openvino]"), ("coreml", "macOS only")],
)
def test_a_device_that_is_not_installed(monkeypatch, tmp_path, device, what_to_do):
    have(monkeypatch)
    bundle = write_bundle(tmp_path / "m")
    with pytest.raises(FerError, match=rf"a device that is installed \(cpu\), got {device}") as error:
        OnnxClassifier(bundle, device=device)
    assert what_to_do in str(error.value)


def test_unknown_devices(monkeypatch):
    with pytest.raises(FerError, match=r"device: expected one of auto, cpu, .* got 'opnvino'. Did you mean"):
        choose_device("opnvino")
    monkeypatch.setenv(DEVICE_VARIABLE, "gpu")
    with pytest.raises(FerError, match="FER_DEVICE: expected one of auto, cpu"):
        choose_device()


def test_a_device_that_onnx_runtime_cannot_start_is_not_replaced_in_silence(monkeypatch, tmp_path):
    have(monkeypatch, "CUDAExecutionProvider")
    bundle = write_bundle(tmp_path / "m")
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: session)
    with pytest.raises(FerError, match="device: expected cuda to work"):
        OnnxClassifier(bundle, device="cuda")


class FakeRequest:
    """An inference request of OpenVINO, computed by ONNX Runtime."""

    def __init__(self, path):
        self.session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])

    def infer(self, feeds):
        names = [output.name for output in self.session.get_outputs()]
        self.outputs = dict(zip(names, self.session.run(names, feeds), strict=True))

    def get_tensor(self, name):
        return SimpleNamespace(data=self.outputs[name])


def fake_openvino(path, device, config):
    assert (device, config["INFERENCE_PRECISION_HINT"]) == ("CPU", "f32")
    return SimpleNamespace(create_infer_request=lambda: FakeRequest(path))


@pytest.mark.parametrize("real", [False, True])
def test_openvino_answers_as_onnx_runtime(monkeypatch, tmp_path, real):
    if real:
        pytest.importorskip("openvino")
    else:
        monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(compile_model=fake_openvino))
        monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: name == "openvino")
    classifier = OnnxClassifier(write_bundle(tmp_path / "m", attention=True), 1, "openvino")
    assert classifier.device == "openvino"
    np.testing.assert_allclose(classifier(FACES), expected_probs(FACES, 7), atol=1e-5)
    np.testing.assert_allclose(classifier.attention(FACES), FACES[..., 0] / 255, atol=1e-5)
    assert classifier(FACES[:0]).shape == (0, 7)


def test_the_option_of_a_command_holds_for_its_whole_process(monkeypatch):
    have(monkeypatch, "CUDAExecutionProvider")
    # So that pytest restores it.
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    use_device("auto")
    assert choose_device() == "cuda"
    use_device("cpu")
    assert choose_device() == "cpu"
