"""Ensembles: a bundle of several runs gives the mean of their probabilities."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper
from random_weights import random_network
from untrained_run import MODEL, write_run

from fer.analysis.metrics.calibration_file import read_calibration
from fer.bundle import card as cards
from fer.bundle.files import read_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.labels import FER7, FERPLUS8
from fer.data.readers.fer2013 import read_fer2013
from fer.export.graph import Ensemble, ExportModel, metadata, write_onnx
from fer.export.model_card import copies_in_training
from fer.export.parity import check_parity
from fer.export.quantize import outermost_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("exported_once")]

SYNTHETIC = {"name": "synthetic", "num_train": 14, "num_val": 7, "num_test": 7, "size": 48, "color": False,
         "seed": 0, "difficulty": 1.0}  # fmt: skip
SCHEMA = Path(cards.__file__).with_name("card.schema.json")


@pytest.fixture
def other(run, fer2013_csv):
    """A second run on the same images, with votes."""
    return write_run(run.parents[2], {"name": "fer2013", "path": str(fer2013_csv), "votes": True}, seed=1)


def test_two_runs_become_one_bundle(fer_export, run, other, fer2013_csv):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    status, output, _ = fer_export(run, other, "--name", "pair")
    bundle = read_bundle(run / "bundle_pair")
    card = bundle.card
    assert status == 0
    assert "fast_cnn + fast_cnn" in output
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(
        json.loads((bundle.folder / "card.json").read_text())
    )
    assert (card.training["seed"], [member["seed"] for member in card.training["members"]]) == (0, [1])
    assert "mean of the probabilities of 2 models" in (bundle.folder / "README.md").read_text()
    # The calibration of the ensemble is not stored with a run.
    assert read_calibration(run / "checkpoints") is None
    assert card.export["calibration"]["split"] == "PublicTest"

    single = []
    for folder in (run, other):
        fer_export(folder, "--output", folder / "single")
        single.append(read_bundle(folder / "single"))
    assert card.model["parameters"] == sum(member.card.model["parameters"] for member in single)
    faces = np.repeat(read_fer2013(fer2013_csv).images[:20], 3, axis=3)
    mean = np.mean(
        [uncalibrated(OnnxClassifier(member)(faces), member.card.temperature) for member in single], axis=0
    )
    probs = uncalibrated(OnnxClassifier(bundle)(faces), card.temperature)
    np.testing.assert_allclose(probs, mean, atol=1e-5)


def uncalibrated(probs, temperature):
    powers = np.asarray(probs, np.float64) ** temperature
    return powers / powers.sum(1, keepdims=True)


def test_different_networks_form_an_ensemble(tmp_path):
    """One of them has attention, whose map is not exported."""
    members = [random_network("fast_cnn", 32), random_network("baseline_cnn", 32, attention="spatial")]
    pair, path = Ensemble(members), tmp_path / "model.onnx"
    write_onnx(ExportModel(pair, True, 1.5, 32), path, metadata("pair", FER7, 1))
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 1), np.uint8)
    report = check_parity(path, pair, images, 1.5)
    assert "max_attention_difference" not in report
    assert [output.name for output in onnx.load(path).graph.output] == ["probabilities"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {**MODEL, "image_size": 46}}, "the same image size"),
        ({"space": FERPLUS8}, "labels"),
        ({"datamodule": SYNTHETIC}, "same validation images"),
        ({"datamodule": {**SYNTHETIC, "color": True}}, "the same number of channels"),
        (None, "same weights twice"),
    ],
)
def test_incompatible_runs_are_an_error(fer_export, run, fer2013_csv, config, message):
    settings = {"datamodule": {"name": "fer2013", "path": str(fer2013_csv)}, "seed": 1, **(config or {})}
    second = run if config is None else write_run(run.parents[2], **settings)
    status, _, error = fer_export(run, second, "--name", "pair")
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (run / "bundle_pair").exists()


def test_several_runs_need_a_name(fer_export, run, other):
    status, _, error = fer_export(run, other)
    assert (status, "Add --name" in error) == (2, True)


@pytest.mark.parametrize(
    ("counts", "expected"), [((280, 0), 280), ((0, None), None), ((0, 0), 0), ((None, 3), 3)]
)
def test_training_copies_are_the_maximum_over_members(tmp_path, counts, expected):
    runs = []
    for number, count in enumerate(counts):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = {"exact": {"images": {"val": {"train": count}}}}
        (folder / "duplicates.json").write_text("" if count is None else json.dumps(report))
        runs.append(SimpleNamespace(folder=folder))
    assert copies_in_training(runs) == expected


def test_outermost_layers_of_each_member():
    """Two chains of layers with a common input and a common output."""
    nodes = [
        helper.make_node(kind, [source], [target], name=target)
        for kind, source, target in (
            ("Cast", "faces", "x"), ("Conv", "x", "a1"), ("Conv", "x", "b1"), ("Relu", "a1", "a2"),
            ("Conv", "a2", "a3"), ("Conv", "b1", "b2"), ("Gemm", "a3", "a4"), ("Gemm", "b2", "b3"),
        )
    ]  # fmt: skip
    nodes.append(helper.make_node("Add", ["a4", "b3"], ["y"], name="y"))
    first = outermost_layers(nodes, lambda node: node.input, lambda node: node.output)
    last = outermost_layers(nodes[::-1], lambda node: node.output, lambda node: node.input)
    assert (first, sorted(last)) == (["a1", "b1"], ["a4", "b3"])
