"""fer-compare on models of random weights, and on predictions made up for the purpose."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from picture_layouts import write_folder
from sklearn import metrics
from written_run import MODEL, write_run

from fer.compare import main
from fer.config_dir import CONFIG_DIR
from fer.evaluating.contenders import gather
from fer.labels import FERPLUS8


@pytest.fixture
def runs(tmp_path, fer2013_csv):
    """Two seeds of one recipe and one run of another."""
    data, outputs = {"name": "fer2013", "path": str(fer2013_csv)}, tmp_path / "outputs"
    made = [write_run(outputs, data, seed) for seed in (0, 1)]
    (made[0] / "plots").mkdir()
    lr = {"optimizer": {"name": "adamw", "lr": 0.01}}
    return [*made, write_run(outputs, data, 2, name="13-00-00_other_s2_beef", **lr)]


@pytest.fixture
def fer_compare(tmp_path, capsys):
    """Call fer-compare; return its status, what it said and the numbers of its report."""

    def call(*words):
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, words), "--output", str(tmp_path / "compare")])
        said, path = capsys.readouterr(), tmp_path / "compare" / "metrics.json"
        numbers = json.loads(path.read_text()) if path.is_file() else {}
        return exit_.value.code, said.out + said.err, numbers

    return call


def test_seeds_of_a_recipe_are_one_entrant(runs, fer_compare, tmp_path):
    status, _, numbers = fer_compare(*runs)
    assert status == 0
    entrants = {entrant["name"]: entrant for entrant in numbers["compare"]["entrants"]}
    assert {name: len(entrant["members"]) for name, entrant in entrants.items()} == {"tiny": 2, "other": 1}
    assert entrants["tiny"]["images_per_second"] > 0
    assert len(numbers["compare"]["pairs"]) == 1
    assert numbers["compare"]["images"] == 35
    assert {file.name for file in (tmp_path / "compare").iterdir()} == {
        "index.html",
        "report.md",
        "metrics.json",
    }
    assert "1 figure" in (tmp_path / "compare" / "report.md").read_text()


def test_options_that_differ_are_named(runs, fer_compare, tmp_path):
    _, said, _ = fer_compare("--no-speed", *runs)
    assert "The recipes differ in optimizer.lr (" in said
    page = (tmp_path / "compare" / "report.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| optimizer.lr")]
    assert len(rows) == 1
    assert "0.01" in rows[0]


def test_figures_are_those_of_sklearn(runs, fer_compare):
    _, _, numbers = fer_compare("--no-speed", *runs)
    tables = {one["run"]: one.predictions for one in gather(list(map(str, runs)), "val", None, False)}
    for entrant in numbers["compare"]["entrants"]:
        answers = [(tables[run].target, tables[run].preds) for run in entrant["runs"]]
        for name, score in (
            ("accuracy", metrics.accuracy_score),
            ("uar", metrics.balanced_accuracy_score),
            ("macro_f1", lambda t, p: metrics.f1_score(t, p, average="macro")),
        ):
            expected = np.mean([score(*answer) for answer in answers])
            assert entrant["scores"][name]["value"] == pytest.approx(expected)


def test_order_is_that_of_the_metric(runs, fer_compare):
    for metric, sign in (("accuracy", -1), ("log_loss", 1)):
        _, _, numbers = fer_compare("--no-speed", "--metric", metric, *runs)
        values = [entrant["scores"][metric]["value"] for entrant in numbers["compare"]["entrants"]]
        assert values == sorted(values, key=lambda value: sign * value)


def test_a_score_that_is_not_that_of_the_training_is_told(runs, fer_compare):
    best = {"epoch": 3, "val/accuracy": 0.9}
    (runs[0] / "run.json").write_text(json.dumps({"best": best}))
    _, said, _ = fer_compare("--no-speed", *runs)
    assert "90.0% in its run.json" in said


def test_runs_of_one_recipe_are_compared_one_by_one(runs, fer_compare):
    status, said, numbers = fer_compare("--no-speed", *runs[:2])
    assert status == 0
    assert len(numbers["compare"]["entrants"]) == 2
    assert "differ in the seed alone" in said
    assert numbers["compare"]["pairs"][0]["mcnemar_p"] is not None


def test_two_checkpoints_of_a_training_are_no_two_seeds(runs, fer_compare):
    best = runs[0] / "checkpoints" / "best.ckpt"
    content, last = torch.load(best, weights_only=True), best.with_name("last.ckpt")
    content["state_dict"] = torch.load(runs[1] / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    torch.save(content, last)
    status, said, _ = fer_compare("--no-speed", best, last)
    assert status == 0
    assert "a difference is one of epochs" in said
    status, said, _ = fer_compare("--no-speed", best, last, runs[2])
    assert status == 2
    assert "two checkpoints of a training are no two seeds" in " ".join(said.split())


def test_stored_predictions_of_data_that_changed_in_place_are_made_anew(fer2013_csv, tmp_path):
    data = tmp_path / "fer2013.csv"
    shutil.copyfile(fer2013_csv, data)
    run = write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(data)})
    (whole,) = gather([str(run)], "val", None, False)
    whole.predictions.save(run / "report" / "val" / "predictions.npz")
    rows = data.read_text().splitlines(keepends=True)
    fewer = [row for row in rows if row.endswith("PublicTest\n")][5:]
    data.write_text("".join([row for row in rows if "PublicTest" not in row] + fewer))
    (found,) = gather([str(run)], "val", None, False)
    assert (found.is_new, len(found.predictions)) == (True, 30)


def test_runs_of_one_name_are_told_apart(runs, fer_compare, tmp_path):
    places = [tmp_path / place / "evrun" for place in ("one", "two")]
    for run, place in zip((runs[0], runs[2]), places, strict=True):
        place.parent.mkdir()
        run.rename(place)
    status, _, numbers = fer_compare("--no-speed", *places)
    assert status == 0
    names = [entrant["name"] for entrant in numbers["compare"]["entrants"]]
    assert sorted(names) == [str(place / "checkpoints" / "best.ckpt") for place in places]


def test_earlier_scores_of_the_test_images_are_told(runs, fer_compare):
    words = ("--no-speed", "--split", "test", *runs)
    assert "on these test images before" not in fer_compare(*words)[1]
    assert "its recipe had 2 scores on these test images before" in fer_compare(*words)[1]


def test_stored_predictions_are_not_those_of_data_that_lies_elsewhere(runs, fer2013_csv, tmp_path):
    """Half of the images at another place: what was stored of all of them does not stand for these."""
    (whole,) = gather([str(runs[0])], "val", None, False)
    whole.predictions.save(runs[0] / "report" / "val" / "predictions.npz")
    rows = fer2013_csv.read_text().splitlines(keepends=True)
    public = [row for row in rows if row.endswith("PublicTest\n")][:14]
    moved = tmp_path / "moved.csv"
    moved.write_text("".join([row for row in rows if "PublicTest" not in row] + public))
    assert not gather([str(runs[0])], "val", str(fer2013_csv), False)[0].is_new
    (found,) = gather([str(runs[0])], "val", str(moved), False)
    assert (found.is_new, len(found.predictions)) == (True, 14)


def test_scoring_the_test_split_is_entered_in_the_ledger(runs, fer_compare):
    assert fer_compare("--no-speed", "--split", "test", *runs[:2])[0] == 0
    entered = (runs[0].parents[2] / "test_ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in entered] == [run.name for run in runs[:2]]
    assert json.loads(entered[0])["result"]["accuracy"]["n"] == 35


def test_validation_is_not_entered(runs, fer_compare):
    fer_compare("--no-speed", *runs)
    assert not (runs[0].parents[2] / "test_ledger.jsonl").exists()


def test_predictions_that_are_there_are_used(runs):
    path = runs[0] / "report" / "val" / "predictions.npz"
    (first,) = gather([str(runs[0])], "val", None, False)
    told = replace(first.predictions, probs=np.roll(first.predictions.probs, 1, 1))
    told.save(path)
    (again,) = gather([str(runs[0])], "val", None, False)
    assert not again.is_new
    assert (again.predictions.probs == told.probs).all()
    for other in ({"model_sha256": "0"}, {"tta": "flip"}, {"role": "test"}, {"other_data": True}):
        replace(told, about={**told.about, **other}).save(path)
        assert gather([str(runs[0])], "val", None, False)[0].is_new


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{0}"], "two runs or more"),
        (["{0}", "{0}"], "same weights"),
        (["{0}", "{0}/plots"], "checkpoints"),
        (["{0}", "{0}/nowhere"], "no such run"),
        (["{0}", "{1}", "--split", "vall"], "Did you mean 'val'?"),
        (["{0}", "{1}", "--metric", "acuracy"], "Did you mean 'accuracy'?"),
        (["{0}", "{1}", "--path", "/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_bad_input_is_one_clear_line(words, message, runs, fer_compare):
    status, said, _ = fer_compare(*(word.format(*runs) for word in words))
    assert status == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_predictions_of_other_images_are_refused(runs, fer_compare, tmp_path):
    faces = {"name": "synthetic", "num_train": 14, "num_val": 7, "num_test": 7, "size": 48, "color": False,
             "seed": 0, "difficulty": 1.0}  # fmt: skip
    other = write_run(tmp_path / "outputs", faces, seed=5, name="14-00-00_drawn_s5_cafe")
    status, said, _ = fer_compare("--no-speed", runs[0], other)
    assert status == 2
    assert runs[0].name in said
    assert other.name in said
    assert "0 are in both" in said


def test_a_split_that_the_data_lacks_is_named(runs, fer_compare, tmp_path, fer2013_csv):
    lines = fer2013_csv.read_text().splitlines(keepends=True)
    path = tmp_path / "short.csv"
    path.write_text("".join(line for line in lines if "PrivateTest" not in line))
    status, said, _ = fer_compare("--no-speed", "--split", "test", "--path", path, *runs)
    assert status == 2
    assert "expected a test split, got train" in said


def test_labels_of_fer_plus_are_a_second_table(runs, fer_compare, tmp_path, fer2013_csv):
    plus = {"name": "ferplus", "path": str(fer2013_csv.parent), "contempt": True, "ambiguous": False}
    other = write_run(tmp_path / "outputs", plus, space=FERPLUS8, name="15-00-00_plus_s0_cafe")
    status, said, numbers = fer_compare("--no-speed", *runs, other)
    assert status == 0
    names = [numbers[key]["labels"] for key in ("compare", "compare_2")]
    assert names == ["fer2013.csv (fer7)", "fer2013.csv with fer2013new.csv (ferplus8)"]
    assert "Not all models can say contempt" in said


@pytest.mark.filterwarnings("ignore:.*Going on without them")
def test_recipes_of_other_sizes_and_a_damaged_file(tmp_path, fer_compare):
    """One folder at 24 and 48 px, and a copy of it that stays on disk: with one file that cannot be read."""
    place = write_folder(tmp_path / "set")
    damaged = sorted((place / "test").rglob("*.png"))[3]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(place), "color": False, "skip_corrupt": True}
    runs = {
        (size, memory): write_run(
            tmp_path / "outputs", {**data, "size": size, "memory_gb": memory}, seed=size + int(memory),
            name=f"12-00-00_{size}m{memory:.0f}_s0_abcd", lr=size, model={**MODEL, "image_size": size},
        )
        for size in (24, 48) for memory in (0.0, 2.0)
    }  # fmt: skip
    words = ("--no-speed", "--split", "test")
    for memory in (0.0, 2.0):
        status, said, numbers = fer_compare(*words, runs[24, memory], runs[48, memory])
        assert status == 0, said
        assert numbers["compare"]["images"] == 13
        assert "compare_2" not in numbers
    status, said, _ = fer_compare(*words, runs[48, 0.0], runs[48, 2.0])
    assert status == 2
    assert "the pictures of one are held in memory and those of another stay on disk" in said
