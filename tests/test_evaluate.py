"""fer-evaluate through its own main: the report, the ledger, and one line for every mistake."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import yaml
from picture_layouts import write_folder
from sklearn.metrics import accuracy_score, f1_score
from written_run import MODEL, write_run

from fer.analysis.predictions import Predictions
from fer.config_dir import CONFIG_DIR
from fer.data.fer2013 import read_fer2013
from fer.data.pictures import ImageFiles
from fer.labels import LabelSpace


@pytest.fixture(autouse=True)
def few_chapters(request, no_pictures, monkeypatch):
    """Leave out pictures, and most chapters where the test is not of them."""
    if "all_chapters" not in request.fixturenames:
        monkeypatch.setattr("fer.evaluating.reporting._errors", lambda found: iter(()))


@pytest.fixture
def all_chapters():
    """Ask for the whole report."""


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def data(fer2013_csv):
    return {"name": "fer2013", "path": str(fer2013_csv)}


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


def ledger(outputs):
    path = outputs / "test_ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.filterwarnings("ignore:.*Going on without them")
def test_set_on_disk_is_told_as_one_in_memory_is_and_never_held(
    fer_evaluate, outputs, tmp_path, all_chapters, monkeypatch
):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set")), "size": 48, "color": True}
    told = []
    for memory_gb in (2.0, 0.0):
        run = write_run(
            outputs, {**data, "memory_gb": memory_gb}, name=f"12-00-00_held{memory_gb:.0f}_s0_abcd"
        )
        if not memory_gb:
            monkeypatch.setattr(ImageFiles, "read_all", lambda self: pytest.fail("all of it was decoded"))
        assert fer_evaluate(run)[0] == 0
        told.append(numbers(run / "report" / "val"))
    measured = ("brightness", "contrast", "sharpness")
    slices = [[one for one in found["slices"]["slices"] if one["factor"] in measured] for found in told]
    assert slices[0] == slices[1] != []
    assert told[0]["scores"] == told[1]["scores"]


def test_report_of_the_validation_split(fer_evaluate, outputs, data, all_chapters):
    run = write_run(outputs, data)
    status, said, _ = fer_evaluate(run)
    folder = run / "report" / "val"
    assert status == 0
    assert {"index.html", "report.md", "metrics.json", "predictions.npz"} <= {
        p.name for p in folder.iterdir()
    }
    table, found = Predictions.load(folder / "predictions.npz"), numbers(folder)
    assert found["scores"]["accuracy"]["value"] == pytest.approx(accuracy_score(table.target, table.preds))
    macro = f1_score(table.target, table.preds, average="macro")
    assert found["scores"]["macro_f1"]["value"] == pytest.approx(macro)
    assert found["protocol"]["standing"] == "validation, selection split"
    assert {
        "calibration",
        "human",
        "confusions",
        "galleries",
        "label_errors",
        "slices",
        "gradcam",
    } <= found.keys()
    assert f"{accuracy_score(table.target, table.preds):.1%}"[:-1] in said
    assert "validation, selection split" in said
    assert str(folder / "index.html") in said
    assert ledger(outputs) == []
    assert (run / "checkpoints" / "calibration.json").exists()


def test_test_scores_are_entered_and_counted(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    other = write_run(outputs, data, seed=1)
    assert fer_evaluate(run, "--split", "test")[0] == 0
    assert fer_evaluate(other, "--split", "test")[0] == 0
    _, said, _ = fer_evaluate(run, "--split", "test", "--tta", "flip")
    first, second, third = ledger(outputs)
    assert first["recipe_sha256"] == second["recipe_sha256"] == third["recipe_sha256"]
    assert first["model_sha256"] == third["model_sha256"] != second["model_sha256"]
    assert (first["tta"], third["tta"]) == (None, "flip")
    found = numbers(run / "report" / "test_flip")
    assert third["result"]["accuracy"] == found["scores"]["accuracy"]
    assert found["protocol"]["earlier_scores"] == {
        "same_model": 1,
        "same_recipe": 2,
        "recipes": 1,
        "damaged": 0,
    }
    assert "scored 3 times" in said
    assert "2 scores on these test images before" in said
    assert found["tta"]["plain"]["accuracy"] == numbers(run / "report" / "test")["scores"]["accuracy"]
    assert found["calibration"]["cross_fitted"] is False


def test_test_images_among_all_count_as_scored(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    assert fer_evaluate(run, "--split", "all")[0] == 0
    _, said, _ = fer_evaluate(run, "--split", "test")
    assert "1 score on these test images before" in said
    first, second = ledger(outputs)
    assert first["test_images"] == second["test_images"] == second["manifest"]["pixels_sha256"]


def test_test_images_as_files_in_folders_are_the_same(fer_evaluate, outputs, data, tmp_path):
    """As PNG files by class, called train and read in another size: other pixels, in another order."""
    model = {**MODEL, "image_size": 64}
    run, faces = write_run(outputs, data, model=model), read_fer2013(data["path"])
    for row in np.flatnonzero(faces.split == 2):
        folder = tmp_path / "faces" / "train" / faces.labels.names[faces.targets[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), faces.images[row])
    assert fer_evaluate(run, "--split", "test")[0] == 0
    code, said, errors = fer_evaluate(run, "--split", "all", "--data", f"folder:{tmp_path / 'faces'}")
    assert code == 0, errors
    assert "1 score on these test images before" in said
    assert len(ledger(outputs)) == 2


def test_seeds_that_were_scored_before_say_so_each(fer_evaluate, outputs, data):
    seeds = [write_run(outputs, data, seed) for seed in (0, 1, 2)]
    assert "test, each seed scored once" in fer_evaluate(*seeds, "--split", "test")[1]
    said = fer_evaluate(*seeds, "--split", "test")[1]
    assert "test, scored 6 times" in said
    assert "3 of these very weights, 0 of other seeds" in said


def test_a_place_that_takes_no_report_is_told_before_the_test_split_is_scored(
    fer_evaluate, outputs, data, tmp_path
):
    (tmp_path / "taken").write_text("a file")
    status, _, errors = fer_evaluate(
        write_run(outputs, data), "--split", "test", "--output", tmp_path / "taken"
    )
    assert status == 2
    assert "expected a folder for the report, but it is a file" in errors
    assert len(errors.strip().splitlines()) == 1
    assert ledger(outputs) == []


def test_a_model_that_says_nan_is_refused(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
                             for key, value in content["state_dict"].items()}  # fmt: skip
    torch.save(content, path)
    status, _, errors = fer_evaluate(run)
    assert status == 2
    assert "got NaN or infinity for 35 of 35 images" in errors


def test_one_set_under_two_paths_is_one_set(fer_evaluate, outputs, data, tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to(data["path"])
    seeds = [write_run(outputs, data, 0), write_run(outputs, {**data, "path": str(link)}, 1)]
    for order in (seeds, seeds[::-1]):
        status, said, errors = fer_evaluate(*order)
        assert status == 0, errors
        assert "(validation, selection split)" in said
        assert "another set" not in said


def test_sets_of_one_name_have_reports_of_their_own(fer_evaluate, outputs, data, tmp_path):
    run = write_run(outputs, data)
    for place in ("CK", "JAFFE"):
        status, _, errors = fer_evaluate(
            run, "--split", "all", "--data", f"folder:{write_folder(tmp_path / place / 'faces')}"
        )
        assert status == 0, errors
    assert len([*(run / "report").glob("folder-faces-????_all")]) == 2


def test_each_member_of_an_ensemble_sees_pictures_of_its_own_size(fer_evaluate, outputs, tmp_path):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set")), "memory_gb": 2.0, "color": False}
    runs = [
        write_run(outputs, {**data, "size": size}, name=f"12-00-00_{size}_s0_abcd", lr=size,
                  model={**MODEL, "image_size": size})
        for size in (24, 48)
    ]  # fmt: skip
    tables = []
    for number, order in enumerate((runs, runs[::-1])):
        status, _, errors = fer_evaluate(*order, "--ensemble", "--output", tmp_path / str(number))
        assert status == 0, errors
        tables.append(Predictions.load(tmp_path / str(number) / "predictions.npz"))
    np.testing.assert_allclose(tables[0].probs, tables[1].probs, atol=1e-6)


def test_runs_of_a_confirmation_share_the_ledger_of_all(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    moved = outputs / "multirun" / "recipe" / "confirm_2e53" / "trial_3_s1"
    moved.parent.mkdir(parents=True)
    run.rename(moved)
    assert fer_evaluate(moved, "--split", "test")[0] == 0
    assert len(ledger(outputs)) == 1


def test_two_checkpoints_of_a_training_are_no_seeds(fer_evaluate, outputs, data):
    best = write_run(outputs, data) / "checkpoints" / "best.ckpt"
    content = torch.load(best)
    content["state_dict"]["model.head.bias"] += 0.1
    torch.save(content, last := best.with_name("last.ckpt"))
    status, _, error = fer_evaluate(best, last)
    assert status == 2
    assert "are of one recipe and one seed (0)" in error


def test_seeds_of_a_recipe(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, seed) for seed in range(3)]
    status, _, _ = fer_evaluate(*runs, "--output", outputs / "seeds")
    found = numbers(outputs / "seeds")["seeds"]
    alone = [Predictions.load(run / "report" / "val" / "predictions.npz") for run in runs]
    accuracies = [accuracy_score(table.target, table.preds) for table in alone]
    assert status == 0
    assert found["accuracy"]["value"] == pytest.approx(np.mean(accuracies))
    assert found["spread"]["accuracy"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    shown = Predictions.load(outputs / "seeds" / "predictions.npz")
    assert accuracy_score(shown.target, shown.preds) == sorted(accuracies)[1]


def test_ensemble_of_two_recipes(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, seed, optimizer={"lr": seed}) for seed in range(2)]
    status, said, _ = fer_evaluate(*runs, "--ensemble", "--split", "test", "--output", outputs / "both")
    assert status == 0
    assert "ensemble of 2 runs" in said
    assert len(ledger(outputs)) == 1
    assert not (runs[0] / "report").exists()


def test_another_set_is_mapped_and_named(fer_evaluate, outputs, data, fer2013_csv):
    run = write_run(outputs, data)
    _, said, _ = fer_evaluate(run, "--data", f"ferplus:{fer2013_csv.parent}", "--split", "val")
    found = numbers(next((run / "report").glob("ferplus*_val")))["protocol"]
    assert list(found["left_out"]) == ["contempt, which the model cannot say"]
    assert found["seen"]["val"] > 0
    assert "WARNING" in said


def test_an_accuracy_that_is_not_the_recorded_one(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    (run / "run.json").write_text(json.dumps({"best": {"epoch": 3, "val/accuracy": 0.99}}))
    assert "recorded an accuracy of 99.0%" in fer_evaluate(run)[1]


def break_file(run, keep):
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:keep])


def remove_checkpoint(run):
    (run / "checkpoints" / "best.ckpt").unlink()


def put_another_file(run):
    shutil.copy(run / "config.yaml", run / "checkpoints" / "best.ckpt")


def no_change(run):
    """Leave the run as it is."""


MISTAKES = {
    "no checkpoint": (remove_checkpoint, [], "checkpoints/best.ckpt"),
    "cut off": (lambda run: break_file(run, 3000), [], "cut off"),
    "empty": (lambda run: break_file(run, 0), [], "cut off"),
    "foreign": (put_another_file, [], "another kind"),
    "no such data": (no_change, ["--path", "/nowhere/fer2013.csv"], "/nowhere/fer2013.csv"),
    "no such kind": (no_change, ["--data", "fer2012:/a"], "Did you mean 'fer2013'"),
    "no path": (no_change, ["--data", "folder"], "expected kind:path"),
    "both": (no_change, ["--data", "folder:/a", "--path", "/b"], "give one of them"),
    "ensemble of one": (no_change, ["--ensemble"], "two runs or more"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_end_in_one_line(case, fer_evaluate, outputs, data):
    change, words, expected = MISTAKES[case]
    run = write_run(outputs, data)
    change(run)
    refused(fer_evaluate(run, *words), expected)
    assert not (run / "report").exists()


def refused(result, *expected):
    status, _, error = result
    assert status == 2
    assert all(words in error for words in expected)
    assert len(error.strip().splitlines()) == 1


def test_no_such_run(fer_evaluate, tmp_path):
    refused(fer_evaluate(tmp_path / "gone"), "there is no such run")


def test_two_recipes_or_the_same_weights(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, 0), write_run(outputs, data, 1, optimizer={"lr": 1})]
    refused(fer_evaluate(*runs), "--ensemble", "fer-compare")
    refused(fer_evaluate(runs[0], runs[0]), "same weights")


def test_no_emotion_in_common(fer_evaluate, outputs, data):
    run = write_run(outputs, data, space=LabelSpace("own", ("contempt", "bored")))
    refused(fer_evaluate(run), "the model can say")


def test_a_split_that_is_not_there(fer_evaluate, outputs, data, fer2013_csv, tmp_path):
    kept = [line for line in fer2013_csv.read_text().splitlines() if "Private" not in line]
    (tmp_path / "short.csv").write_text("\n".join(kept) + "\n")
    run = write_run(outputs, data)
    refused(fer_evaluate(run, "--path", tmp_path / "short.csv", "--split", "test"), "expected a test split")
    assert ledger(outputs) == []


def test_code_in_a_checkpoint_is_not_run(fer_evaluate, outputs, data, tmp_path):
    import torch

    run = write_run(outputs, data)
    torch.save({"state_dict": Touch(tmp_path / "touched")}, run / "checkpoints" / "best.ckpt")
    refused(fer_evaluate(run), "cannot be loaded as plain tensors")
    assert not (tmp_path / "touched").exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_help_needs_no_torch():
    code = "import sys, fer.evaluate; fer.evaluate.parser().format_help(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_ledger_that_cannot_be_written(fer_evaluate, outputs, data):
    """A test score that is not entered is not shown."""
    run = write_run(outputs, data)
    (outputs / "test_ledger.jsonl").mkdir()
    status, said, error = fer_evaluate(run, "--split", "test")
    assert status == 2
    assert "accuracy" not in said
    assert not (run / "report").exists()
    assert len(error.strip().splitlines()) == 1
