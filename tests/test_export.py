"""fer-export through its own main: a run in, a bundle out, or one line and nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from picture_layouts import write_folder
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_score
from written_run import MODEL, write_run

from fer.analysis.temperature import read_temperature
from fer.bundle.card import AT_REST
from fer.bundle.files import FILES, read_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.config_dir import CONFIG_DIR
from fer.errors import FerError
from fer.exporting import make
from fer.faces.rules import RULES
from fer.labels import FER7
from fer.scoring import Scene, load_run, score

pytestmark = pytest.mark.usefixtures("exported_once")
SCHEMA = Path(make.__file__).parent.parent / "bundle/card.schema.json"


def test_a_run_becomes_a_bundle(fer_export, run):
    status, said, _ = fer_export(run)
    bundle = read_bundle(run / "bundle")
    card = bundle.card
    assert status == 0
    assert {path.name for path in bundle.folder.iterdir()} == FILES
    assert (card.name, card.version, card.labels, card.image_size) == ("tiny", 0, FER7, 48)
    assert (card.precision, card.attention, card.crop) == ("fp32", False, RULES["fer2013"])
    parity = card.export["parity"]
    assert parity["images"] >= 256
    assert parity["batch_sizes"] == [1, 2, 7]
    assert parity["max_difference"] <= 1e-5
    assert card.temperature == read_temperature(run / "checkpoints").temperature != 1.0
    assert "research" in card.licence["weights"]
    for word in ("angry, disgust", "256 pictures", "calibrated on PublicTest", str(run / "bundle")):
        assert word in said


def test_the_card_fits_its_schema(fer_export, run):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    fer_export(run)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads((run / "bundle" / "card.json").read_text()))


def test_the_schema_names_the_face_at_rest():
    """Its words are all that somebody without this package has."""
    crop = json.loads(SCHEMA.read_text())["properties"]["crop"]["properties"]
    assert all(f"({x:g}, {y:g})" in crop["upright"]["description"] for x, y in AT_REST)


def test_figures_are_those_of_the_exported_file(fer_export, run, fer2013_csv):
    from fer.data.fer2013 import read_fer2013

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
    assert (
        part["manifest"]["pixels_sha256"]
        == bundle.card.training["manifest"]["splits"]["val"]["pixels_sha256"]
    )


def test_the_readme_runs_as_it_stands(fer_export, run, tmp_path):
    """Its ten lines need ONNX Runtime, NumPy and Pillow, and give what the bundle's model gives."""
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


def test_nothing_of_this_machine_leaves(fer_export, run, tmp_path, fer2013_csv):
    fer_export(run)
    for path in (run / "bundle").iterdir():
        assert not [
            place for place in (tmp_path, fer2013_csv.parent) if str(place).encode() in path.read_bytes()
        ]


def test_a_checkpoint_file_and_another_folder_will_do(fer_export, run, tmp_path):
    status, _, _ = fer_export(
        run / "checkpoints" / "best.ckpt", "--output", tmp_path / "out", "--name", "smile"
    )
    assert status == 0
    assert read_bundle(tmp_path / "out").card.name == "smile"
    assert not (run / "bundle").exists()


def test_exporting_again_gives_the_same_answers(fer_export, run):
    fer_export(run)
    first = OnnxClassifier(read_bundle(run / "bundle"))
    pictures = np.random.default_rng(1).integers(0, 256, (9, 48, 48, 3), np.uint8)
    expected = first(pictures)
    assert fer_export(run)[0] == 0
    np.testing.assert_array_equal(OnnxClassifier(read_bundle(run / "bundle"))(pictures), expected)


def test_a_model_that_differs_leaves_nothing(fer_export, run, monkeypatch):
    def fail(*_):
        raise FerError("the exported model does not answer as the trained one")

    monkeypatch.setattr(make, "check_parity", fail)
    status, _, said = fer_export(run)
    assert (status, said.count("\n")) == (2, 1)
    assert not (run / "bundle").exists()
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_model_that_differs_leaves_the_earlier_bundle(fer_export, run, monkeypatch):
    fer_export(run)
    before = read_bundle(run / "bundle")
    monkeypatch.setattr("fer.exporting.parity.TOLERANCE", {"fp32": -1.0})
    assert fer_export(run)[0] == 2
    assert read_bundle(run / "bundle") == before


def test_a_foreign_folder_is_left_alone(fer_export, run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    status, _, said = fer_export(run, "--output", tmp_path)
    assert status == 2
    assert "Choose another folder" in said
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_its_data_it_goes_out_uncalibrated_and_says_so(fer_export, homeless):
    status, said, _ = fer_export(homeless)
    card = read_bundle(homeless / "bundle").card
    assert status == 0
    assert (card.temperature, card.abstain_below, card.export["calibration"]) == (1.0, None, None)
    assert card.export["parity"]["pictures"] == "drawn faces"
    assert "fer-evaluate RUN" in said
    assert "not calibrated" in (homeless / "bundle" / "README.md").read_text()
    assert card.metrics == {}


def test_its_data_may_have_moved(fer_export, homeless, fer2013_csv):
    status, said, _ = fer_export(homeless, "--calibration", fer2013_csv)
    assert status == 0
    assert "calibrated on PublicTest" in said
    assert read_bundle(homeless / "bundle").card.metrics["val"]["n"] == 35


def test_what_the_training_noted_down_stands_in(fer_export, homeless):
    record = {"best": {"epoch": 3, "val/accuracy": 0.4, "val/macro_f1": 0.3}, "accuracy_95": [0.3, 0.5]}
    (homeless / "run.json").write_text(json.dumps(record))
    fer_export(homeless)
    part = read_bundle(homeless / "bundle").card.metrics["val"]
    assert part["source"] == "run.json of the training"
    assert part["figures"]["accuracy"] == {"value": 0.4, "low": 0.3, "high": 0.5}
    record["best"]["epoch"] = 2  # of other weights
    (homeless / "run.json").write_text(json.dumps(record))
    fer_export(homeless)
    assert read_bundle(homeless / "bundle").card.metrics == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "no such run"),
        (("RUN", "--name", "../up"), "--name"),
        (("RUN", "--int8", "--calibration", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_mistakes_end_in_one_line(fer_export, run, words, said):
    status, _, complaint = fer_export(*(run if word == "RUN" else word for word in words))
    assert status == 2
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert said in complaint
    assert not (run / "bundle").exists()


def test_drawn_faces_have_a_crop_of_their_own(fer_export, tmp_path):
    drawn = {"name": "synthetic", "num_train": 20, "num_val": 10, "num_test": 5, "size": 48, "color": True,
             "seed": 0, "difficulty": 0.0}  # fmt: skip
    run = write_run(tmp_path / "outputs", drawn)
    assert fer_export(run)[0] == 0
    card = read_bundle(run / "bundle").card
    assert card.crop == RULES["synthetic"]
    assert "research" not in card.licence["weights"]


@pytest.mark.filterwarnings("ignore:.*Going on without them")
@pytest.mark.parametrize("memory_gb", [0.0, 2.0])
def test_a_folder_with_a_damaged_picture(memory_gb, fer_export, tmp_path):
    """Nobody measured how its faces are cut, so they are whole pictures; training went on without one."""
    place = write_folder(tmp_path / "set")
    damaged = sorted((place / "train").rglob("*.png"))[3]
    (place / "val" / "angry").mkdir(parents=True)
    damaged = damaged.rename(place / "val" / "angry" / damaged.name)
    for kept in sorted((place / "train").rglob("*.png"))[::3]:
        (place / "val" / kept.parent.name).mkdir(exist_ok=True)
        kept.rename(place / "val" / kept.parent.name / kept.name)
    damaged.write_bytes(damaged.read_bytes()[:400])
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(place), "size": 48, "skip_corrupt": True, "memory_gb": memory_gb}
    status, _, errors = fer_export(write_run(tmp_path / "outputs", data))
    assert status == 0, errors
    card = read_bundle(next((tmp_path / "outputs").rglob("bundle"))).card
    assert card.crop == RULES["whole"]
    assert card.metrics["val"]["n"] == 9


def test_a_network_for_larger_pictures_is_given_those_of_its_training(fer_export, tmp_path, fer2013_csv):
    """FER2013 has 48 px: a face cut out at 64 would have details that training never saw."""
    data = {"name": "fer2013", "path": str(fer2013_csv)}
    run = write_run(tmp_path / "outputs", data, model={**MODEL, "image_size": 64})
    assert fer_export(run)[0] == 0
    bundle = read_bundle(run / "bundle")
    assert bundle.card.image_size == 48
    assert bundle.card.export["parity"]["max_difference"] <= 1e-5
    scored = load_run(run)
    scene = Scene(scored, "val")
    expected = score(scored, scene.subject, scene.provenance(scored).about).predictions
    found = OnnxClassifier(bundle)(np.repeat(scene.subject.data.images, 3, axis=3))
    assert (found.argmax(1) == expected.preds).all()
