"""The code of docs/predict.md for torch.export, ONNX, TorchScript and torch.compile."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import fer
from fer.core.labels import FER7

DOCS = Path(__file__).resolve().parents[2] / "docs" / "predict.md"
SMALL = {"widths": [8, 16], "depths": [0, 0]}
KINDS = {
    "baseline_cnn": ({"name": "baseline_cnn"}, "none"),
    "fast_cnn": ({"name": "fast_cnn", "kwargs": SMALL}, "none"),
    "spatial": ({"name": "fast_cnn", "kwargs": SMALL}, "spatial"),
    "cbam": ({"name": "fast_cnn", "kwargs": SMALL}, "cbam"),
    "squeeze_excitation": ({"name": "fast_cnn", "kwargs": SMALL}, "squeeze_excitation"),
    "multi_head": ({"name": "fast_cnn", "kwargs": SMALL}, "multi_head"),
    "resnet": ({"name": "resnet10t"}, "none"),
    "vision transformer": ({"name": "vit_tiny_patch16_224", "kwargs": {"patch_size": 8, "depth": 2}}, "none"),
}


def run_code(folder, model, attention="none"):
    """Run the block of the docs for a model with random weights; return its variables."""
    module = fer.EmotionModule({"image_size": 48, **model}, attention, labels=FER7)
    content = {"hyper_parameters": {**module.hparams, "manifest": {}}, "state_dict": module.state_dict()}
    torch.save({**content, "epoch": 0}, folder / "own.ckpt")
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "torch.jit" in block)
    namespace = {}
    exec(compile(block.replace("outputs/train/DATE/RUN", "own.ckpt"), str(DOCS), "exec"), namespace)
    return namespace


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("kind", KINDS)
def test_formats_give_the_logits_of_the_model(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run_code(tmp_path, *KINDS[kind])
    images = torch.rand(5, 1, 48, 48)
    with torch.inference_mode():
        expected = namespace["model"](images)
        # The other backends of torch.compile take the same graph; only the time differs.
        compiled = torch.compile(namespace["model"], backend="aot_eager", fullgraph=True)(images)
        exported = torch.export.load("fer.pt2").module()(images)
        scripted = torch.jit.load("fer.pt")(images)
    for other in (compiled, exported, scripted):
        torch.testing.assert_close(other, expected, rtol=0, atol=1e-6)
    session = onnxruntime.InferenceSession("fer.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [1, 48, 48]
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_the_compiled_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run_code(tmp_path, *KINDS["fast_cnn"])
    images = torch.rand(3, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(namespace["compiled"](images), namespace["model"](images))
