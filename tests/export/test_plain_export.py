"""Files for other programs: float images, logits, opsets, torch and OpenVINO; and flips in the graph."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from random_weights import random_network

import fer
from fer.bundle.files import read_bundle
from fer.bundle.foreign import ForeignClassifier
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.data.readers.fer2013 import read_fer2013
from fer.export.compatibility import make_compatible, standard_opset
from fer.export.graph import FlipAverage
from fer.export.parity import onnx_outputs

pytestmark = pytest.mark.usefixtures("exported_once")


def images_of(csv, number=8):
    return read_fer2013(csv).images[:number].transpose(0, 3, 1, 2).astype(np.float32) / 255


def expected_logits(run, images):
    model, _ = fer.load_checkpoint(run)
    with torch.inference_mode():
        return model(torch.from_numpy(images)).numpy()


def test_float_images_to_logits_in_fixed_batches(fer_export, run, fer2013_csv):
    status, output, _ = fer_export(run, "--input", "float", "--output", "logits", "--opset", 17, "--batch", 4)
    assert status == 0
    assert "probabilities differ by at most" in output
    path = run / "export" / "model.onnx"
    model = onnx.load(path)
    assert standard_opset(model) == 17
    assert [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim] == [4, 1, 48, 48]
    assert [node.name for node in (*model.graph.input, *model.graph.output)] == ["images", "logits"]
    # The spec is that of fer-evaluate --onnx and fer-benchmark --onnx.
    classifier = ForeignClassifier(path, path.with_suffix(".yaml"), threads=1)
    faces = np.repeat(read_fer2013(fer2013_csv).images[:8], 3, axis=3)
    logits = classifier.answers(faces)
    trained = expected_logits(run, images_of(fer2013_csv))
    temperature = trained.std() / logits.std()
    np.testing.assert_allclose(logits * temperature, trained, atol=1e-4)
    assert f"temperature {temperature:.3f}" in path.with_suffix(".yaml").read_text()
    _, labels = fer.load_checkpoint(run)
    assert classifier.card.labels.names == labels.names
    assert classifier.card.crop.name == "fer2013"


@pytest.mark.slow
def test_a_torch_program_needs_no_fer(fer_export, run, tmp_path, fer2013_csv):
    options = ("--format", "torch", "--input", "float", "--output", "logits", "--uncalibrated")
    status, _, error = fer_export(run, *options, "--output", tmp_path / "files")
    assert (status, error) == (0, "")
    images = images_of(fer2013_csv, 5)
    np.save(tmp_path / "images.npy", images)
    code = """
import sys, numpy, torch
model = torch.export.load("files/model.pt2").module()
numpy.save("logits.npy", model(torch.from_numpy(numpy.load("images.npy"))).detach().numpy())
assert not [name for name in sys.modules if name.split(".")[0] in ("fer", "timm", "pytorch_lightning")]
"""
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    logits, trained = np.load(tmp_path / "logits.npy"), expected_logits(run, images)
    np.testing.assert_allclose(logits * (trained.std() / logits.std()), trained, atol=1e-4)


@pytest.mark.slow
def test_openvino_files(fer_export, run, tmp_path):
    openvino = pytest.importorskip("openvino")
    status, _, error = fer_export(run, "--format", "openvino", "--batch", 1, "--output", tmp_path / "files")
    assert (status, error) == (0, "")
    assert {path.name for path in (tmp_path / "files").iterdir()} == {"model.xml", "model.bin", "model.yaml"}
    model = openvino.Core().read_model(tmp_path / "files" / "model.xml")
    assert list(model.inputs[0].shape) == [1, 48, 48, 3]


def test_openvino_is_not_installed(fer_export, run, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "openvino" else find(name)
    )
    status, _, error = fer_export(run, "--format", "openvino")
    assert (status, error.count("\n")) == (2, 1)
    assert "pip install 'fer-lightning[openvino]'" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--opset", 9], "--opset: expected 13 to 24, got 9"),
        (["--format", "torch", "--opset", 15], "--opset: expected --format onnx or openvino, got torch"),
        (["--input", "float", "--int8"], "--int8: expected a bundle"),
        (["--batch", 2, "--register"], "--register: expected a bundle"),
        (["--batch", 300], "--batch: expected at most 256"),
        (
            ["--output", "logits", "--output", "probabilities"],
            "--output: expected one of logits and probabilities",
        ),
        (["--output", "a", "--output", "b"], "--output: expected one folder, got a and b"),
    ],
)
def test_options_that_do_not_go_together(fer_export, run, options, message):
    status, _, error = fer_export(run, *options)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not (run / "export").exists()
    assert not (run / "bundle").exists()


def test_a_folder_with_other_files_is_not_replaced(fer_export, run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    status, _, error = fer_export(run, "--batch", 1, "--output", tmp_path / "mine")
    assert status == 2
    assert "expected a new folder or a previous export, got notes.txt" in error


@pytest.mark.slow
def test_an_export_replaces_an_earlier_one(fer_export, run):
    fer_export(run, "--batch", 1)
    assert fer_export(run, "--batch", 2, "--input", "float")[0] == 0
    assert {path.name for path in (run / "export").iterdir()} == {"model.onnx", "model.yaml"}


def test_the_opset_of_a_bundle(fer_export, run):
    assert fer_export(run, "--opset", 20)[0] == 0
    bundle = read_bundle(run / "bundle")
    assert bundle.card.export["opset"] == standard_opset(onnx.load(bundle.model_path)) == 20


def test_an_opset_without_the_operators_of_the_model():
    sizes = {"x": [1, 4], "y": [1, 4]}
    values = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in sizes.items()]
    scale = onnx.numpy_helper.from_array(np.ones(4, np.float32), "scale")
    nodes = [onnx.helper.make_node("LayerNormalization", ["x", "scale"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "norm", values[:1], values[1:], [scale])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    assert standard_opset(make_compatible(model)) == 17
    with pytest.raises(FerError, match="--opset: expected 17 or higher for this model"):
        make_compatible(model, 15)


def test_flips_are_averaged_in_the_graph(fer_export, run, tmp_path, fer2013_csv):
    fer_export(run, "--output", tmp_path / "plain", "--uncalibrated")
    status, _, error = fer_export(run, "--tta", "flip", "--output", tmp_path / "flips")
    assert (status, error) == (0, "")
    bundle = read_bundle(tmp_path / "flips")
    assert bundle.card.export["tta"] == "flip"
    assert "the mean over the face and its mirror image" in (bundle.folder / "README.md").read_text()
    images = images_of(fer2013_csv)
    views = [expected_logits(run, np.ascontiguousarray(one)) for one in (images, images[..., ::-1])]
    probs = np.mean([np.exp(view) / np.exp(view).sum(1, keepdims=True) for view in views], axis=0)
    expected = probs ** (1 / bundle.card.temperature)
    faces = np.repeat(read_fer2013(fer2013_csv).images[:8], 3, axis=3)
    answers = OnnxClassifier(bundle)(faces)
    np.testing.assert_allclose(answers, expected / expected.sum(1, keepdims=True), atol=1e-5)
    # The mirror image has the same probabilities.
    np.testing.assert_allclose(OnnxClassifier(bundle)(faces[:, :, ::-1]), answers, atol=1e-5)


def test_recorded_figures_are_those_without_flips(fer_export, run, monkeypatch):
    entry = {"test": {"split": "PrivateTest", "n": 7, "selection_split": False, "figures": {}}}
    monkeypatch.setattr("fer.export.export.recorded_metrics", lambda run: json.loads(json.dumps(entry)))
    fer_export(run, "--tta", "flip")
    metrics = read_bundle(run / "bundle").card.metrics
    assert metrics["test"]["of"] == "the model without test-time augmentation"
    assert "of" not in metrics["val"]


def test_flips_of_an_ensemble(tmp_path):
    members = [random_network("fast_cnn", 48), random_network("baseline_cnn", 48)]
    images = torch.rand(3, 1, 48, 48)
    with torch.inference_mode():
        probs = FlipAverage(members)(images).exp()
        views = [member(view).softmax(1) for member in members for view in (images, images.flip(3))]
    torch.testing.assert_close(probs, torch.stack(views).mean(0))


def test_int8_of_a_model_with_flips(fer_export, run, monkeypatch):
    for name, value in (("MIN_SPEEDUP", 0.0), ("MAX_ACCURACY_LOSS", 1.0), ("MAX_PLAUSIBLE_LOSS", 1.0)):
        monkeypatch.setattr(f"fer.export.quantize.{name}", value)
    assert fer_export(run, "--int8", "--tta", "flip")[0] == 0
    bundle: Path = run / "bundle"
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    probs = onnx_outputs(bundle / "model.onnx", faces, 2, ["probabilities"])["probabilities"]
    assert probs.sum(1) == pytest.approx(1, abs=1e-5)
    assert read_bundle(bundle).card.precision == "int8"
