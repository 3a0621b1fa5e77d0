"""The device on which torch runs a network: the option and the variable, if torch has it."""

import numpy as np
import pytest
import torch
from torch import nn

from fer.core.device import DEVICE_VARIABLE, use_device
from fer.core.labels import FER7
from fer.data.dataset import EmotionData
from fer.models.device import torch_device
from fer.models.inference import infer


@pytest.fixture
def has_gpu(monkeypatch):
    """Torch says that there is a GPU, whether there is one or not."""
    monkeypatch.setenv(DEVICE_VARIABLE, "auto")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)


@pytest.mark.parametrize(
    ("option", "device"), [("auto", "cuda"), ("cpu", "cpu"), ("cuda", "cuda"), ("openvino", "cuda")]
)
def test_the_device_of_a_network(has_gpu, option, device):
    use_device(option)
    assert torch_device() == torch.device(device)


def test_auto_is_the_cpu_without_a_gpu(monkeypatch):
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert torch_device() == torch.device("cpu")
    # The variable is also for exported models. Torch then computes where it can.
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    assert torch_device() == torch.device("cpu")


def test_inference_runs_on_the_chosen_device(has_gpu):
    use_device("cpu")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    images, zeros = np.zeros((3, 8, 8, 1), np.uint8), np.zeros(3, np.int64)
    data = EmotionData(images, zeros, zeros.astype(np.uint8), ("all",), {"val": "all"}, FER7, "")
    assert infer(network, data, 8, 2).logits.shape == (3, 7)
