"""Reports of fer-evaluate, called through its main function."""

import json

import numpy as np
import pytest
import torch
import yaml
from image_layouts import write_folder
from report_files import ledger, numbers
from sklearn.metrics import accuracy_score, f1_score
from untrained_run import MODEL, write_run

from fer.analysis.predictions import Predictions
from fer.core.paths import CONFIG_DIR
from fer.data.image_files import ImageFiles

pytestmark = pytest.mark.usefixtures("few_sections")


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
def test_data_on_disk_gives_the_same_report_without_loading_it_all(
    fer_evaluate, outputs, tmp_path, all_sections, monkeypatch
):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set")), "size": 48, "color": True}
    reports = []
    for memory_gb in (2.0, 0.0):
        run = write_run(
            outputs, {**data, "memory_gb": memory_gb}, name=f"12-00-00_held{memory_gb:.0f}_s0_abcd"
        )
        if not memory_gb:
            monkeypatch.setattr(
                ImageFiles, "read_all", lambda self: pytest.fail("all images were decoded at once")
            )
        assert fer_evaluate(run)[0] == 0
        reports.append(numbers(run / "report" / "val"))
    measured = ("brightness", "contrast", "sharpness")
    slices = [[one for one in report["slices"]["slices"] if one["factor"] in measured] for report in reports]
    assert slices[0] == slices[1] != []
    assert reports[0]["scores"] == reports[1]["scores"]


def test_report_of_the_validation_split(fer_evaluate, outputs, data, all_sections):
    run = write_run(outputs, data)
    status, output, _ = fer_evaluate(run)
    folder = run / "report" / "val"
    assert status == 0
    assert {"index.html", "report.md", "metrics.json", "predictions.npz"} <= {
        p.name for p in folder.iterdir()
    }
    table, metrics = Predictions.load(folder / "predictions.npz"), numbers(folder)
    assert metrics["scores"]["accuracy"]["value"] == pytest.approx(accuracy_score(table.target, table.preds))
    macro = f1_score(table.target, table.preds, average="macro")
    assert metrics["scores"]["macro_f1"]["value"] == pytest.approx(macro)
    assert metrics["protocol"]["standing"] == "validation, selection split"
    assert {
        "calibration",
        "human",
        "confusions",
        "galleries",
        "label_errors",
        "slices",
        "gradcam",
    } <= metrics.keys()
    assert f"{accuracy_score(table.target, table.preds):.1%}"[:-1] in output
    assert "validation, selection split" in output
    assert str(folder / "index.html") in output
    assert ledger(outputs) == []
    assert (run / "checkpoints" / "calibration.json").exists()


def test_tables_in_wandb_have_distinct_names(fer_evaluate, outputs, data, all_sections, monkeypatch):
    logged = {}
    monkeypatch.setattr(
        "fer.evaluation.evaluate._log",
        lambda runs, folder, sections, prefix: logged.update({prefix: sections}),
    )
    run = write_run(outputs, data)
    assert fer_evaluate(run, "--logger", "wandb", "--tta", "flip")[0] == 0
    ((prefix, sections),) = logged.items()
    assert prefix == f"report/{data['name']}/val_flip"
    tables = [(section.key, table.name) for section in sections for table in section.tables]
    assert len(set(tables)) == len(tables) > 8
    assert all(name != "table" for _, name in tables)


def test_an_unwritable_output_is_rejected_before_the_test_split_is_scored(
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


def test_nan_outputs_are_rejected(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
                             for key, value in content["state_dict"].items()}  # fmt: skip
    torch.save(content, path)
    status, _, errors = fer_evaluate(run)
    assert status == 2
    assert "got NaN or infinity for 35 of 35 images" in errors


def test_two_paths_of_one_data_set_are_recognized(fer_evaluate, outputs, data, tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to(data["path"])
    seeds = [write_run(outputs, data, 0), write_run(outputs, {**data, "path": str(link)}, 1)]
    for order in (seeds, seeds[::-1]):
        status, output, errors = fer_evaluate(*order)
        assert status == 0, errors
        assert "(validation, selection split)" in output
        assert "another data set" not in output


def test_data_sets_with_the_same_folder_name_have_separate_reports(fer_evaluate, outputs, data, tmp_path):
    run = write_run(outputs, data)
    for name in ("CK", "JAFFE"):
        status, _, errors = fer_evaluate(
            run, "--split", "all", "--data", f"folder:{write_folder(tmp_path / name / 'faces')}"
        )
        assert status == 0, errors
    assert len([*(run / "report").glob("folder-faces-????_all")]) == 2


def test_each_member_of_an_ensemble_gets_its_own_image_size(fer_evaluate, outputs, tmp_path):
    data = yaml.safe_load((CONFIG_DIR / "datamodule" / "folder.yaml").read_text())
    data |= {"path": str(write_folder(tmp_path / "set")), "memory_gb": 2.0, "color": False}
    runs = [
        write_run(outputs, {**data, "size": size}, name=f"12-00-00_{size}_s0_abcd",
                  model={**MODEL, "image_size": size})
        for size in (24, 48)
    ]  # fmt: skip
    tables = []
    for number, order in enumerate((runs, runs[::-1])):
        status, _, errors = fer_evaluate(*order, "--ensemble", "--output", tmp_path / str(number))
        assert status == 0, errors
        tables.append(Predictions.load(tmp_path / str(number) / "predictions.npz"))
    np.testing.assert_allclose(tables[0].probs, tables[1].probs, atol=1e-6)


def test_confirmation_runs_use_the_ledger_of_all_runs(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    moved = outputs / "multirun" / "recipe" / "confirm_2e53" / "trial_3_s1"
    moved.parent.mkdir(parents=True)
    run.rename(moved)
    assert fer_evaluate(moved, "--split", "test")[0] == 0
    assert len(ledger(outputs)) == 1


def test_two_checkpoints_of_one_training_run_are_rejected_as_seeds(fer_evaluate, outputs, data):
    best = write_run(outputs, data) / "checkpoints" / "best.ckpt"
    content = torch.load(best)
    content["state_dict"]["model.head.bias"] += 0.1
    torch.save(content, last := best.with_name("last.ckpt"))
    status, _, error = fer_evaluate(best, last)
    assert status == 2
    assert "two checkpoints of one training run (seed 0)" in error


def test_seeds_of_a_recipe(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, seed) for seed in range(3)]
    status, _, _ = fer_evaluate(*runs, "--output", outputs / "seeds")
    metrics = numbers(outputs / "seeds")["seeds"]
    alone = [Predictions.load(run / "report" / "val" / "predictions.npz") for run in runs]
    accuracies = [accuracy_score(table.target, table.preds) for table in alone]
    assert status == 0
    assert metrics["accuracy"]["value"] == pytest.approx(np.mean(accuracies))
    assert metrics["spread"]["accuracy"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    median = Predictions.load(outputs / "seeds" / "predictions.npz")
    assert accuracy_score(median.target, median.preds) == sorted(accuracies)[1]


def test_an_unwritable_run_folder_does_not_prevent_the_report(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, seed) for seed in range(2)]
    (runs[0] / "report").write_text("in the way")
    status, output, _ = fer_evaluate(*runs, "--output", outputs / "seeds")
    assert status == 0
    assert (outputs / "seeds" / "index.html").is_file()
    assert f"its predictions are not saved in {runs[0] / 'report' / 'val'}" in output
    assert (runs[1] / "report" / "val" / "predictions.npz").is_file()


def test_ensemble_of_two_recipes(fer_evaluate, outputs, data):
    runs = [write_run(outputs, data, seed, optimizer={"name": "adamw", "lr": 1 + seed}) for seed in range(2)]
    status, output, _ = fer_evaluate(*runs, "--ensemble", "--split", "test", "--output", outputs / "both")
    assert status == 0
    assert "ensemble of 2 runs" in output
    assert len(ledger(outputs)) == 1
    assert not (runs[0] / "report").exists()


def test_another_data_set_is_mapped_to_the_labels_of_the_model(fer_evaluate, outputs, data, fer2013_csv):
    run = write_run(outputs, data)
    _, output, _ = fer_evaluate(run, "--data", f"ferplus:{fer2013_csv.parent}", "--split", "val")
    metrics = numbers(next((run / "report").glob("ferplus*_val")))["protocol"]
    assert list(metrics["left_out"]) == ["contempt, which the model cannot say"]
    assert metrics["seen"]["val"] > 0
    assert "WARNING" in output


def test_a_difference_from_the_recorded_accuracy_is_reported(fer_evaluate, outputs, data):
    run = write_run(outputs, data)
    (run / "run.json").write_text(json.dumps({"best": {"epoch": 3, "val/accuracy": 0.99}}))
    assert "recorded an accuracy of 99.0%" in fer_evaluate(run)[1]
