"""Foreign ONNX files and bundles in fer-evaluate and fer-compare."""

import json

import cv2
import numpy as np
import pytest
from foreign_file import LABELS, expected_probs, write_foreign, write_spec
from tiny_bundle import write_bundle
from untrained_run import write_run

from fer.bundle.foreign_spec import OnnxFile
from fer.bundle.registry import Registry
from fer.core.errors import FerError
from fer.data.config import FER2013Config
from fer.data.readers.factory import read_dataset
from fer.evaluation.bundles import load_model
from fer.evaluation.cli import compare_main, evaluate_main
from fer.evaluation.compare import compare
from fer.evaluation.evaluate import evaluate
from fer.export.export import export

pytestmark = pytest.mark.usefixtures("few_sections")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fer2013(fer2013_csv):
    return f"fer2013:{fer2013_csv}"


@pytest.fixture
def foreign(tmp_path):
    """Return the options of a foreign file with its spec."""
    write_spec(tmp_path / "other.yaml", name="other")
    return {"onnx": [write_foreign(tmp_path / "model.onnx")], "spec": [tmp_path / "other.yaml"]}


def command(main, *arguments):
    """Run a command; return its status."""
    with pytest.raises(SystemExit) as exit_:
        main([*map(str, arguments)])
    return exit_.value.code


def test_a_foreign_file_is_scored_as_its_spec_says(foreign, fer2013, fer2013_csv):
    report = evaluate(data=fer2013, split="val", **foreign)
    data = read_dataset(FER2013Config(path=str(fer2013_csv)))
    faces = np.repeat(data.images[report.predictions.index], 3, axis=3)
    np.testing.assert_allclose(report.predictions.probs, expected_probs(faces), atol=1e-5)
    about = report.predictions.about
    assert (about.run, about.is_foreign, about.parameters) == ("other", True, 7 + 7 + 3 + 1)
    assert about.spec["input"] == "48 x 48 pixels, gray, NCHW"
    assert report.page.parent.parent.name == "other"
    # On top of the page: nobody knows whether it saw these images.
    assert "was trained on is not known" in report.warnings[0]
    text = (report.folder / "report.md").read_text()
    assert text.index("trained on is not known") < text.index("## Scores")
    assert "another data set" not in text
    assert "The probabilities of the file are scored as they are." in text


def test_the_spec_beside_the_file_is_used(foreign, fer2013, tmp_path):
    named = evaluate(data=fer2013, split="val", **foreign)
    (tmp_path / "other.yaml").rename(tmp_path / "model.yaml")
    beside = evaluate("model.onnx", data=fer2013, split="val")
    assert beside.predictions.about.model_sha256 == named.predictions.about.model_sha256
    # Another reading of the same file is another model.
    write_spec(tmp_path / "model.yaml", input={"mean": 0.4})
    other = evaluate("model.onnx", data=fer2013, split="val")
    assert other.predictions.about.model_sha256 != named.predictions.about.model_sha256


def test_a_test_score_of_a_foreign_file_is_in_the_ledger(foreign, fer2013, tmp_path):
    evaluate(data=fer2013, split="test", **foreign)
    again = evaluate(data=fer2013, split="test", **foreign)
    assert any("had 1 score on these test images" in warning for warning in again.warnings)
    assert len((tmp_path / "outputs" / "test_ledger.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("exported_once")
def test_a_bundle_is_compared_with_its_run_on_the_data_of_the_run(outputs, data, foreign):
    run = write_run(outputs, data)
    bundle = export(run)
    comparison = compare([bundle.folder, run], with_speed=False, **foreign)
    assert [len(candidate.members) for candidate in comparison.candidates] == [1, 1, 1]
    assert comparison.rankings[0].images == 35
    pair = next(pair for pair in comparison.pairs if "other" not in pair.names)
    # The same answers, by the file and by the checkpoint.
    assert pair.only == (0, 0)
    text = (comparison.folder / "report.md").read_text()
    assert text.index("trained on is not known") < text.index("## Comparison")
    assert "These validation images selected the checkpoint of" in text
    assert "| other | model.onnx | not known |" in text
    # They are no recipes, whose options would differ.
    assert "recipes differ" not in text


def test_models_alone_are_compared_on_data_that_are_named(foreign, fer2013, fer2013_csv):
    options = {"data": fer2013, "with_speed": False, **foreign}
    comparison = compare(["fer2013_48px"], "val", **options)
    scores = {name: table["accuracy"].value for name, table in comparison.table.items()}
    alone = evaluate("fer2013_48px", data=fer2013, split="val")
    assert scores["fer2013_48px"] == pytest.approx(alone.metrics["accuracy"].value)
    # The stored predictions of the bundle are used.
    predictions = alone.folder / "predictions.npz"
    before = predictions.read_bytes()
    again = compare(["fer2013_48px"], "val", **options)
    assert again.table["fer2013_48px"]["accuracy"].value == scores["fer2013_48px"]
    assert predictions.read_bytes() == before
    with pytest.raises(FerError, match="expected --data with an exported model"):
        compare(["fer2013_48px"], **foreign)


def test_a_model_with_another_emotion_is_compared_on_the_common_ones(foreign, fer2013, tmp_path):
    spec = write_spec(tmp_path / "eight.yaml", name="eight", labels=[*LABELS, "Contempt"])
    files = [*foreign["onnx"], write_foreign(tmp_path / "eight.onnx", outputs=8)]
    options = {"data": fer2013, "with_speed": False}
    comparison = compare(split="val", onnx=files, spec=[*foreign["spec"], spec], **options)
    assert any("Not all models can predict contempt" in text for text in comparison.sections[0].paragraphs)


def test_external_data_belong_to_the_identity_and_the_size(tmp_path, fer2013):
    spec = write_spec(tmp_path / "model.yaml")
    path = write_foreign(tmp_path / "model.onnx", external="weights.bin")
    first = load_model(OnnxFile(path, spec))
    weights = tmp_path / "weights.bin"
    assert first.megabytes == pytest.approx((path.stat().st_size + weights.stat().st_size) / 1e6)
    content = np.frombuffer(weights.read_bytes(), np.float32)
    weights.write_bytes((content * 2).tobytes())
    assert load_model(OnnxFile(path, spec)).model_sha256 != first.model_sha256


def test_models_are_compared_on_images_of_some_emotions(foreign, tmp_path):
    rng = np.random.default_rng(0)
    for emotion in ("happy", "sad"):
        (tmp_path / "some" / emotion).mkdir(parents=True)
        for number in range(6):
            image = rng.integers(0, 256, (48, 48), np.uint8)
            cv2.imwrite(str(tmp_path / "some" / emotion / f"{number}.png"), image)
    data = f"folder:{tmp_path / 'some'}"
    comparison = compare(["fer2013_48px"], data=data, with_speed=False, **foreign)
    assert comparison.rankings[0].images == 12
    alone = evaluate(data=data, **foreign)
    assert comparison.table["other"]["uar"].value == pytest.approx(alone.metrics["uar"].value)


def test_options_may_stand_before_the_models(foreign, fer2013, tmp_path, capsys):
    files = ["--onnx", foreign["onnx"][0], "--spec", foreign["spec"][0]]
    arguments = [*files, "fer2013_48px", "--data", fer2013, "--no-speed", "--output", "compared"]
    assert command(compare_main, *arguments) == 0
    out = capsys.readouterr().out
    assert "WARNING: What other (model.onnx) was trained on is not known" in out
    assert "35 images" in out
    numbers = json.loads((tmp_path / "compared" / "metrics.json").read_text())
    assert numbers["exported"]["models"] == ["fer2013_48px", "other"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--onnx", "model.onnx", "--spec", "wrong.yaml"],
            "wrong.yaml does not fit model.onnx: labels: the",
        ),
        (["--onnx", "model.onnx"], "model.onnx: expected a spec with a foreign ONNX file"),
        (["--onnx", "none.onnx", "--spec", "other.yaml"], "none.onnx: expected an ONNX file"),
        (["--spec", "other.yaml"], "--spec: expected one for each --onnx"),
        ([], "RUN: expected a run, a bundle or --onnx FILE, got none"),
        (["fer2014"], "Or name a model: fer2013, fer2013_48px. Did you mean 'fer2013'?"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(foreign, fer2013, tmp_path, capsys, arguments, message):
    write_spec(tmp_path / "wrong.yaml", labels=LABELS[:5])
    before = sorted(tmp_path.rglob("*"))
    assert command(evaluate_main, *arguments, "--data", fer2013) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_device_that_is_not_installed_is_named(fer2013, monkeypatch):
    monkeypatch.setenv("FER_DEVICE", "coreml")
    with pytest.raises(FerError, match="expected a device that is installed"):
        evaluate("fer2013_48px", data=fer2013, split="val")


def test_a_missing_version_of_a_model_is_named(fer2013, tmp_path):
    Registry(tmp_path / "models").register(write_bundle(tmp_path / "bundle"))
    with pytest.raises(FerError, match="tiny has no version '7'"):
        evaluate("tiny:7", data=fer2013, split="val")
