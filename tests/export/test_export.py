"""fer-export, called through its main function: it writes a bundle, or one line of error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from image_layouts import write_folder
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_score
from untrained_run import MODEL, write_run

from fer.analysis.metrics.calibration_file import read_calibration
from fer.bundle.card import CROP_RULES, REFERENCE_LANDMARKS
from fer.bundle.files import FILES, read_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.core.paths import CONFIG_DIR
from fer.evaluation.data import EvaluationData
from fer.evaluation.runs import load_run
from fer.evaluation.score import score_run
from fer.export import export

pytestmark = pytest.mark.usefixtures("exported_once")
SCHEMA = Path(export.__file__).parent.parent / "bundle/card.schema.json"


def test_export_writes_a_bundle(fer_export, run):
    status, output, _ = fer_export(run)
    bundle = read_bundle(run / "bundle")
    card = bundle.card
    assert status == 0
    assert {path.name for path in bundle.folder.iterdir()} == FILES
    assert (card.name, card.version, card.labels, card.image_size) == ("tiny", 0, FER7, 48)
    assert (card.precision, card.attention, card.crop) == ("fp32", False, CROP_RULES["fer2013"])
    parity = card.export["parity"]
    assert parity["images"] >= 256
    assert parity["batch_sizes"] == [1, 2, 7]
    assert parity["max_difference"] <= 1e-5
    assert card.temperature == read_calibration(run / "checkpoints").temperature != 1.0
    assert "research" in card.licence["weights"]
    for text in ("angry, disgust", "256 images", "calibrated on PublicTest", str(run / "bundle")):
        assert text in output
    assert (card.abstain_below is None) == ("no threshold found" in output)


def test_the_card_is_valid_in_the_schema(fer_export, run):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    fer_export(run)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads((run / "bundle" / "card.json").read_text()))


def test_the_schema_has_the_reference_landmarks():
    """The schema must be usable without this package."""
    crop = json.loads(SCHEMA.read_text())["properties"]["crop"]["properties"]
    assert all(f"({x:g}, {y:g})" in crop["upright"]["description"] for x, y in REFERENCE_LANDMARKS)


def test_metrics_are_those_of_the_exported_file(fer_export, run, fer2013_csv):
    from fer.data.readers.fer2013 import read_fer2013

    fer_export(run)
    bundle = read_bundle(run / "bundle")
    data = read_fer2013(fer2013_csv)
    rows = data.split == 1
    probs = OnnxClassifier(bundle)(np.repeat(data.images[rows], 3, axis=3))
    part = bundle.card.metrics["val"]
    assert part["figures"]["accuracy"]["value"] == (probs.argmax(1) == data.targets[rows]).mean()
    assert part["figures"]["accuracy"]["low"] <= part["figures"]["accuracy"]["value"]
    assert (
        part["confusion"] == confusion_matrix(data.targets[rows], probs.argmax(1), labels=range(7)).tolist()
    )
    precision = precision_score(data.targets[rows], probs.argmax(1), labels=range(7), average=None)
    for name, value in zip(FER7.names, precision, strict=True):
        assert part["figures"][f"precision/{name}"]["value"] in (None, pytest.approx(value))
    assert (part["split"], part["n"], part["selection_split"]) == ("PublicTest", 35, True)
    assert part["cross_fitted"] == {"folds": 5, "figures": ["log_loss", "ece_mass"]}
    assert (
        part["manifest"]["pixels_sha256"]
        == bundle.card.training["manifest"]["splits"]["val"]["pixels_sha256"]
    )


def test_the_code_in_the_readme_runs(fer_export, run, tmp_path):
    """It needs ONNX Runtime, NumPy and Pillow only, and gives the outputs of the bundle's model."""
    fer_export(run)
    folder = run / "bundle"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "face.png")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    expected = OnnxClassifier(read_bundle(folder))(pixels[None])[0]
    assert eval(done.stdout) == pytest.approx(dict(zip(FER7.names, expected, strict=True)), abs=6e-4)


def test_the_bundle_has_no_local_paths(fer_export, run, tmp_path, fer2013_csv):
    fer_export(run)
    for path in (run / "bundle").iterdir():
        content = path.read_bytes()
        assert not [folder for folder in (tmp_path, fer2013_csv.parent) if str(folder).encode() in content]


def test_a_checkpoint_file_and_an_output_folder(fer_export, run, tmp_path):
    status, _, _ = fer_export(
        run / "checkpoints" / "best.ckpt", "--output", tmp_path / "out", "--name", "smile"
    )
    assert status == 0
    assert read_bundle(tmp_path / "out").card.name == "smile"
    assert not (run / "bundle").exists()


def test_exporting_again_gives_the_same_outputs(fer_export, run):
    fer_export(run)
    first = OnnxClassifier(read_bundle(run / "bundle"))
    images = np.random.default_rng(1).integers(0, 256, (9, 48, 48, 3), np.uint8)
    expected = first(images)
    assert fer_export(run)[0] == 0
    np.testing.assert_array_equal(OnnxClassifier(read_bundle(run / "bundle"))(images), expected)


def test_a_failed_parity_check_writes_nothing(fer_export, run, monkeypatch):
    def fail(*_):
        raise FerError("the exported model differs from the trained model")

    monkeypatch.setattr(export, "check_parity", fail)
    status, _, error = fer_export(run)
    assert (status, error.count("\n")) == (2, 1)
    assert not (run / "bundle").exists()
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_failed_parity_check_keeps_the_previous_bundle(fer_export, run, monkeypatch):
    fer_export(run)
    before = read_bundle(run / "bundle")
    monkeypatch.setattr("fer.export.parity.TOLERANCE", {"fp32": -1.0})
    assert fer_export(run)[0] == 2
    assert read_bundle(run / "bundle") == before


def test_a_folder_with_other_files_is_not_overwritten(fer_export, run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    status, _, error = fer_export(run, "--output", tmp_path)
    assert status == 2
    assert "Choose another folder" in error
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_data_nothing_is_exported(fer_export, run_without_data):
    status, _, error = fer_export(run_without_data)
    assert status == 2
    assert "cannot be calibrated without the run's data. Give its path with --calibration, or use" in error
    assert not (run_without_data / "bundle").exists()


def test_without_data_the_model_is_uncalibrated_on_request(fer_export, run_without_data):
    status, output, _ = fer_export(run_without_data, "--uncalibrated")
    card = read_bundle(run_without_data / "bundle").card
    assert status == 0
    assert (card.temperature, card.abstain_below, card.export["calibration"]) == (1.0, None, None)
    assert card.export["parity"]["pictures"] == "synthetic faces"
    assert "fer-evaluate RUN" in output
    assert "not calibrated" in (run_without_data / "bundle" / "README.md").read_text()
    assert card.metrics == {}


def test_data_at_another_path(fer_export, run_without_data, fer2013_csv):
    status, output, _ = fer_export(run_without_data, "--calibration", fer2013_csv)
    assert status == 0
    assert "calibrated on PublicTest" in output
    assert read_bundle(run_without_data / "bundle").card.metrics["val"]["n"] == 35


def test_metrics_from_the_training_record(fer_export, run_without_data):
    record = {"best": {"epoch": 3, "val/accuracy": 0.4, "val/macro_f1": 0.3}, "accuracy_95": [0.3, 0.5]}
    (run_without_data / "run.json").write_text(json.dumps(record))
    fer_export(run_without_data, "--uncalibrated")
    part = read_bundle(run_without_data / "bundle").card.metrics["val"]
    assert part["source"] == "run.json of the training"
    assert part["figures"]["accuracy"] == {"value": 0.4, "low": 0.3, "high": 0.5}
    record["best"]["epoch"] = 2  # the epoch of other weights
    (run_without_data / "run.json").write_text(json.dumps(record))
    fer_export(run_without_data, "--uncalibrated")
    assert read_bundle(run_without_data / "bundle").card.metrics == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "expected a run"),
        (("RUN", "--name", "../up"), "--name"),
        (("RUN", "--int8", "--calibration", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_errors_are_one_line(fer_export, run, arguments, message):
    status, _, error = fer_export(*(run if argument == "RUN" else argument for argument in arguments))
    assert status == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (run / "bundle").exists()


def test_synthetic_faces_have_their_own_crop_rule(fer_export, tmp_path):
    data = {"name": "synthetic", "num_train": 20, "num_val": 10, "num_test": 5, "size": 48, "color": True,
            "seed": 0, "difficulty": 0.0}  # fmt: skip
    run = write_run(tmp_path / "outputs", data)
    assert fer_export(run)[0] == 0
    card = read_bundle(run / "bundle").card
    assert card.crop == CROP_RULES["synthetic"]
    assert "research" not in card.licence["weights"]


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
@pytest.mark.parametrize("memory_gb", [0.0, 2.0])
def test_a_folder_with_a_damaged_image(memory_gb, fer_export, tmp_path):
    """Its crop rule was not measured, so the generic one is used; training skips the unreadable image."""
    folder = write_folder(tmp_path / "set")
    damaged = sorted((folder / "train").rglob("*.png"))[3]
    (folder / "val" / "angry").mkdir(parents=True)
    damaged = damaged.rename(folder / "val" / "angry" / damaged.name)
    for path in sorted((folder / "train").rglob("*.png"))[::3]:
        (folder / "val" / path.parent.name).mkdir(exist_ok=True)
        path.rename(folder / "val" / path.parent.name / path.name)
    damaged.write_bytes(damaged.read_bytes()[:400])
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(folder), "size": 48, "skip_corrupt": True, "memory_gb": memory_gb}
    status, _, errors = fer_export(write_run(tmp_path / "outputs", data))
    assert status == 0, errors
    card = read_bundle(next((tmp_path / "outputs").rglob("bundle"))).card
    assert card.crop == CROP_RULES["whole"]
    assert card.metrics["val"]["n"] == 9


def test_the_input_size_is_that_of_the_data_set(fer_export, tmp_path, fer2013_csv):
    """FER2013 has 48 px: a face cropped at 64 px would have details that training images lack."""
    data = {"name": "fer2013", "path": str(fer2013_csv)}
    run = write_run(tmp_path / "outputs", data, model={**MODEL, "image_size": 64})
    assert fer_export(run)[0] == 0
    bundle = read_bundle(run / "bundle")
    assert bundle.card.image_size == 48
    assert bundle.card.export["parity"]["max_difference"] <= 1e-5
    scored = load_run(run)
    evaluation = EvaluationData(scored, "val")
    expected = score_run(scored, evaluation.split, evaluation.provenance(scored).about).predictions
    probs = OnnxClassifier(bundle)(np.repeat(evaluation.split.data.images, 3, axis=3))
    assert (probs.argmax(1) == expected.preds).all()
