"""fer-compare on models with random weights, and on constructed predictions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from image_layouts import write_folder
from sklearn import metrics
from untrained_run import MODEL, write_run

from fer.core.labels import FERPLUS8
from fer.core.paths import CONFIG_DIR
from fer.evaluation.cli import compare_main
from fer.evaluation.compared_runs import load_compared_runs
from fer.evaluation.evaluate import evaluate


@pytest.fixture
def runs(tmp_path, fer2013_csv):
    """Two seeds of one recipe and one run of another."""
    data, outputs = {"name": "fer2013", "path": str(fer2013_csv)}, tmp_path / "outputs"
    written = [write_run(outputs, data, seed) for seed in (0, 1)]
    (written[0] / "plots").mkdir()
    lr = {"optimizer": {"name": "adamw", "lr": 0.01}}
    return [*written, write_run(outputs, data, 2, name="13-00-00_other_s2_beef", **lr)]


@pytest.fixture
def fer_compare(tmp_path, capsys):
    """Return a function that calls fer-compare; it returns status, output and the numbers of the report."""

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            compare_main([*map(str, arguments), "--output", str(tmp_path / "compare")])
        output, path = capsys.readouterr(), tmp_path / "compare" / "metrics.json"
        numbers = json.loads(path.read_text()) if path.is_file() else {}
        return exit_.value.code, output.out + output.err, numbers

    return call


def test_seeds_of_a_recipe_are_one_candidate(runs, fer_compare, tmp_path):
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


def test_differing_options_are_reported(runs, fer_compare, tmp_path):
    _, output, _ = fer_compare("--no-speed", *runs)
    assert "The recipes differ in optimizer.lr (" in output
    page = (tmp_path / "compare" / "report.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| optimizer.lr")]
    assert len(rows) == 1
    assert "0.01" in rows[0]


def test_scores_match_sklearn(runs, fer_compare):
    _, _, numbers = fer_compare("--no-speed", *runs)
    tables = {
        one.about.run: one.predictions for one in load_compared_runs(list(map(str, runs)), "val", None, False)
    }
    for entrant in numbers["compare"]["entrants"]:
        labels = [(tables[run].target, tables[run].preds) for run in entrant["runs"]]
        for name, score in (
            ("accuracy", metrics.accuracy_score),
            ("uar", metrics.balanced_accuracy_score),
            ("macro_f1", lambda t, p: metrics.f1_score(t, p, average="macro")),
        ):
            expected = np.mean([score(*pair) for pair in labels])
            assert entrant["scores"][name]["value"] == pytest.approx(expected)


def test_candidates_are_ordered_by_the_metric(runs, fer_compare):
    for metric, sign in (("accuracy", -1), ("log_loss", 1)):
        _, _, numbers = fer_compare("--no-speed", "--metric", metric, *runs)
        values = [entrant["scores"][metric]["value"] for entrant in numbers["compare"]["entrants"]]
        assert values == sorted(values, key=lambda value: sign * value)


def test_a_difference_from_the_recorded_accuracy_is_reported(runs, fer_compare):
    best = {"epoch": 3, "val/accuracy": 0.9}
    (runs[0] / "run.json").write_text(json.dumps({"best": best}))
    _, output, _ = fer_compare("--no-speed", *runs)
    assert "90.0% in its run.json" in output


def test_runs_of_one_recipe_are_compared_one_by_one(runs, fer_compare):
    status, output, numbers = fer_compare("--no-speed", *runs[:2])
    assert status == 0
    assert len(numbers["compare"]["entrants"]) == 2
    assert "differ only in the seed" in output
    assert numbers["compare"]["pairs"][0]["mcnemar_p"] is not None


def test_two_checkpoints_of_one_training_run_are_not_two_seeds(runs, fer_compare):
    best = runs[0] / "checkpoints" / "best.ckpt"
    content, last = torch.load(best, weights_only=True), best.with_name("last.ckpt")
    content["state_dict"] = torch.load(runs[1] / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    torch.save(content, last)
    status, output, _ = fer_compare("--no-speed", best, last)
    assert status == 0
    assert "they also differ in the epoch" in output
    status, output, _ = fer_compare("--no-speed", best, last, runs[2])
    assert status == 2
    assert "got two checkpoints of one training run" in " ".join(output.split())


def test_stored_predictions_of_changed_data_are_not_reused(fer2013_csv, tmp_path):
    data = tmp_path / "fer2013.csv"
    shutil.copyfile(fer2013_csv, data)
    run = write_run(tmp_path / "outputs", {"name": "fer2013", "path": str(data)})
    (original,) = load_compared_runs([str(run)], "val", None, False)
    original.predictions.save(run / "report" / "val" / "predictions.npz")
    rows = data.read_text().splitlines(keepends=True)
    fewer = [row for row in rows if row.endswith("PublicTest\n")][5:]
    data.write_text("".join([row for row in rows if "PublicTest" not in row] + fewer))
    (reloaded,) = load_compared_runs([str(run)], "val", None, False)
    assert (reloaded.is_new, len(reloaded.predictions)) == (True, 30)


def test_runs_with_the_same_name_get_unique_names(runs, fer_compare, tmp_path):
    folders = [tmp_path / name / "evrun" for name in ("one", "two")]
    for run, folder in zip((runs[0], runs[2]), folders, strict=True):
        folder.parent.mkdir()
        run.rename(folder)
    status, _, numbers = fer_compare("--no-speed", *folders)
    assert status == 0
    names = [entrant["name"] for entrant in numbers["compare"]["entrants"]]
    assert sorted(names) == ["lr=0.001", "lr=0.01"]


def test_earlier_scores_of_the_test_images_are_reported(runs, fer_compare):
    arguments = ("--no-speed", "--split", "test", *runs)
    assert "on these test images before" not in fer_compare(*arguments)[1]
    assert "its recipe had 2 scores on these test images before" in fer_compare(*arguments)[1]


def test_stored_predictions_are_not_reused_for_data_at_another_path(runs, fer2013_csv, tmp_path):
    """The other path has half of the images, so the stored predictions of all do not apply."""
    (original,) = load_compared_runs([str(runs[0])], "val", None, False)
    original.predictions.save(runs[0] / "report" / "val" / "predictions.npz")
    rows = fer2013_csv.read_text().splitlines(keepends=True)
    public = [row for row in rows if row.endswith("PublicTest\n")][:14]
    moved = tmp_path / "moved.csv"
    moved.write_text("".join([row for row in rows if "PublicTest" not in row] + public))
    assert not load_compared_runs([str(runs[0])], "val", str(fer2013_csv), False)[0].is_new
    (reloaded,) = load_compared_runs([str(runs[0])], "val", str(moved), False)
    assert (reloaded.is_new, len(reloaded.predictions)) == (True, 14)


def test_test_scores_are_recorded_in_the_ledger(runs, fer_compare):
    assert fer_compare("--no-speed", "--split", "test", *runs[:2])[0] == 0
    entries = (runs[0].parents[2] / "test_ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in entries] == [run.name for run in runs[:2]]
    assert json.loads(entries[0])["result"]["accuracy"]["n"] == 35


def test_validation_scores_are_not_recorded(runs, fer_compare):
    fer_compare("--no-speed", *runs)
    assert not (runs[0].parents[2] / "test_ledger.jsonl").exists()


def test_stored_predictions_are_reused(runs):
    path = runs[0] / "report" / "val" / "predictions.npz"
    (first,) = load_compared_runs([str(runs[0])], "val", None, False)
    rolled = replace(first.predictions, probs=np.roll(first.predictions.probs, 1, 1))
    rolled.save(path)
    (again,) = load_compared_runs([str(runs[0])], "val", None, False)
    assert not again.is_new
    assert (again.predictions.probs == rolled.probs).all()
    for other in ({"model_sha256": "0"}, {"tta": "flip"}, {"role": "test"}, {"other_data": True}):
        replace(rolled, about=replace(rolled.about, **other)).save(path)
        assert load_compared_runs([str(runs[0])], "val", None, False)[0].is_new


def test_stored_predictions_of_another_checkpoint_are_reused(runs):
    checkpoint = runs[0] / "checkpoints" / "best.ckpt"
    checkpoint = checkpoint.rename(checkpoint.with_name("last.ckpt"))
    folder = evaluate(str(runs[0]), "val").folder
    assert folder == runs[0] / "report" / "val_last"
    for source in (runs[0], checkpoint):
        assert not load_compared_runs([str(source)], "val", None, False)[0].is_new


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}"], "two runs or more"),
        (["{0}", "{0}"], "same weights"),
        (["{0}", "{0}/plots"], "checkpoints"),
        (["{0}", "{0}/nowhere"], "the path does not exist"),
        (["{0}", "{1}", "--split", "vall"], "Did you mean 'val'?"),
        (["{0}", "{1}", "--metric", "acuracy"], "Did you mean 'accuracy'?"),
        (["{0}", "{1}", "--path", "/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_user_errors_are_one_line(arguments, message, runs, fer_compare):
    status, output, _ = fer_compare(*(argument.format(*runs) for argument in arguments))
    assert status == 2
    assert message in output
    assert len(output.strip().splitlines()) == 1


def test_predictions_of_different_images_are_rejected(runs, fer_compare, tmp_path):
    faces = {"name": "synthetic", "num_train": 14, "num_val": 7, "num_test": 7, "size": 48, "color": False,
             "seed": 0, "difficulty": 1.0}  # fmt: skip
    other = write_run(tmp_path / "outputs", faces, seed=5, name="14-00-00_synthetic_s5_cafe")
    status, output, _ = fer_compare("--no-speed", runs[0], other)
    assert status == 2
    assert runs[0].name in output
    assert other.name in output
    assert "0 are in both" in output


def test_missing_split(runs, fer_compare, tmp_path, fer2013_csv):
    lines = fer2013_csv.read_text().splitlines(keepends=True)
    path = tmp_path / "short.csv"
    path.write_text("".join(line for line in lines if "PrivateTest" not in line))
    status, output, _ = fer_compare("--no-speed", "--split", "test", "--path", path, *runs)
    assert status == 2
    assert "expected a test split, got train" in output


def test_labels_of_fer_plus_are_a_second_table(runs, fer_compare, tmp_path, fer2013_csv):
    plus = {"name": "ferplus", "path": str(fer2013_csv.parent), "contempt": True, "ambiguous": False}
    other = write_run(tmp_path / "outputs", plus, space=FERPLUS8, name="15-00-00_plus_s0_cafe")
    status, output, numbers = fer_compare("--no-speed", *runs, other)
    assert status == 0
    names = [numbers[key]["labels"] for key in ("compare", "compare_2")]
    assert names == ["fer2013.csv (fer7)", "fer2013.csv with fer2013new.csv (ferplus8)"]
    assert "Not all models can predict contempt" in output


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
def test_recipes_of_other_sizes_and_a_damaged_file(tmp_path, fer_compare):
    """One folder at 24 and 48 px, in memory and on disk, with one file that cannot be read."""
    folder = write_folder(tmp_path / "set")
    damaged = sorted((folder / "test").rglob("*.png"))[3]
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(folder), "color": False, "skip_corrupt": True}
    runs = {
        (size, memory): write_run(
            tmp_path / "outputs", {**data, "size": size, "memory_gb": memory}, seed=size + int(memory),
            name=f"12-00-00_{size}m{memory:.0f}_s0_abcd", model={**MODEL, "image_size": size},
        )
        for size in (24, 48) for memory in (0.0, 2.0)
    }  # fmt: skip
    arguments = ("--no-speed", "--split", "test")
    for memory in (0.0, 2.0):
        status, output, numbers = fer_compare(*arguments, runs[24, memory], runs[48, memory])
        assert status == 0, output
        assert numbers["compare"]["images"] == 13
        assert "compare_2" not in numbers
    # Of one path, images on disk and in memory are matched by their rows.
    status, output, numbers = fer_compare(*arguments, runs[48, 0.0], runs[48, 2.0])
    assert (status, numbers["compare"]["images"]) == (0, 13)
    shutil.copytree(folder, tmp_path / "copy")
    data |= {"path": str(tmp_path / "copy"), "size": 48, "memory_gb": 2.0}
    copy = write_run(tmp_path / "outputs", data, seed=9, name="12-00-00_copy_s9_abcd")
    status, output, _ = fer_compare(*arguments, runs[48, 0.0], copy)
    assert status == 2
    assert "expected all images in memory or all on disk, got both" in output


def test_disagreements_are_counted_and_shown(runs, fer_compare, tmp_path):
    _, _, numbers = fer_compare("--no-speed", runs[0], runs[2])
    first, other = (
        one.predictions for one in load_compared_runs([str(runs[0]), str(runs[2])], "val", None, False)
    )
    (pair,) = numbers["disagreements"]["pairs"]
    right = {"tiny": first.preds == first.target, "other": other.preds == other.target}
    a, b = (right[name] for name in pair["names"])
    assert (pair["only_a"], pair["only_b"]) == ((a & ~b).sum(), (b & ~a).sum())
    assert pair["neither"] == (~a & ~b & (first.preds != other.preds)).sum()
    report = (tmp_path / "compare" / "report.md").read_text()
    assert f"only A is correct on {pair['only_a']}, only B on {pair['only_b']}" in report


def test_disagreements_without_the_images_say_so(fer_compare, fer2013_csv, tmp_path):
    path = Path(shutil.copy(fer2013_csv, tmp_path / "copy.csv"))
    data, lr = {"name": "fer2013", "path": str(path)}, {"optimizer": {"name": "adamw", "lr": 0.01}}
    sources = [
        str(write_run(tmp_path / "outputs", data, 0)),
        str(write_run(tmp_path / "outputs", data, 1, **lr)),
    ]
    for run, scored in zip(sources, load_compared_runs(sources, "val", None, False), strict=True):
        (Path(run) / "report" / "val").mkdir(parents=True)
        scored.predictions.save(Path(run) / "report" / "val" / "predictions.npz")
    path.unlink()
    status, _, numbers = fer_compare("--no-speed", *sources)
    assert status == 0
    assert numbers["disagreements"]["pairs"]
    assert "The images are not shown." in (tmp_path / "compare" / "report.md").read_text()


def test_recipes_of_one_name_are_told_apart_by_their_option(runs, fer_compare, fer2013_csv, tmp_path):
    data = {"name": "fer2013", "path": str(fer2013_csv)}
    lr = {"optimizer": {"name": "adamw", "lr": 0.02}}
    other = write_run(tmp_path / "outputs", data, 3, name="13-00-00_other_s3_b00f", **lr)
    _, _, numbers = fer_compare("--no-speed", runs[2], other)
    names = {entrant["name"] for entrant in numbers["compare"]["entrants"]}
    assert names == {"lr=0.01", "lr=0.02"}
    _, _, numbers = fer_compare("--no-speed", runs[0], runs[2], other)
    names = {entrant["name"] for entrant in numbers["compare"]["entrants"]}
    assert names == {"tiny", "other lr=0.01", "other lr=0.02"}


def test_long_names_are_not_cut_off(runs, fer_compare, tmp_path):
    names = [f"{number}_optimizer-adamw_scheduler-onecycle_label_smoothing-0.{number}" for number in (1, 2)]
    for run, name in zip((runs[0], runs[2]), names, strict=True):
        run.rename(tmp_path / "outputs" / name)
    status, out, _ = fer_compare("--no-speed", *(tmp_path / "outputs" / name for name in names))
    assert status == 0
    assert "…" not in out
