"""A run has its own id and folder: no folder is used twice, no checkpoint is taken from another run."""

import json
import multiprocessing
import shutil

import pytest
import torch
import yaml

from fer.core.errors import FerError
from fer.evaluation.runs import load_run
from fer.training.run_record import STARTING, claim_folder, claimed_folder, read_record

STARTS = 100


@pytest.fixture
def stopped(tiny_run):
    """A run folder as after a kill in the second epoch."""
    folder = tiny_run("trainer.max_epochs=2").folder
    record = read_record(folder)
    record.status = "running"
    record.write(folder)
    return folder


def _claim_many(root, folders, barrier):
    for number in range(STARTS):
        barrier.wait()
        folders.put(str(claim_folder(root / str(number), beside=True)))


def test_racing_starts_get_folders_of_their_own(tmp_path, capfd):
    context = multiprocessing.get_context("fork")
    folders, barrier = context.Queue(), context.Barrier(2)
    workers = [context.Process(target=_claim_many, args=(tmp_path, folders, barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    claimed = [folders.get(timeout=60) for _ in range(2 * STARTS)]
    for worker in workers:
        worker.join()
    assert len(set(claimed)) == 2 * STARTS
    assert len({read_record(folder).id for folder in tmp_path.iterdir()}) == 2 * STARTS
    assert capfd.readouterr().out.count("has another run") == STARTS


def test_a_used_folder_is_refused(tiny_run, capsys, tmp_path):
    folder = tmp_path / "job"
    assert tiny_run(f"hydra.run.dir={folder}").status == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert tiny_run(f"hydra.run.dir={folder}", "seed=2").status == 2
    assert f"{folder}: expected a folder without a run, but it has one. Resume" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_name_of_a_run_is_that_of_its_folder(tiny_run, tmp_path):
    def name(folder):
        return yaml.safe_load((folder / "config.yaml").read_text())["name"]

    folder = tiny_run().folder
    assert folder.name.partition("_")[2] == name(folder)
    assert tiny_run(f"hydra.run.dir={tmp_path}/job").status == 0
    assert name(tmp_path / "job") == "job"
    assert tiny_run(f"hydra.run.dir={tmp_path}/other", "name=mine").status == 0
    assert name(tmp_path / "other") == "mine"


def test_runs_of_a_grid_in_one_folder_get_folders_beside_it(tiny_run, tmp_path):
    grid = (f"hydra.sweep.dir={tmp_path}/grid", "hydra.sweep.subdir=same", "seed=1,2", "-m")
    assert tiny_run(*grid).status == 0
    records = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("grid/*/run.json")}
    seeds = {name: record["seed"] for name, record in records.items()}
    assert seeds == {"same": 1, "same-2": 2}


def test_a_run_that_does_not_start_leaves_no_folder(fer_train, tmp_path):
    folder = tmp_path / "job"
    options = ("datamodule=fer2013", f"datamodule.path={tmp_path}/none.csv", f"hydra.run.dir={folder}")
    assert fer_train(*options).status == 2
    assert not folder.exists()


def test_a_folder_of_a_run_that_was_killed_before_its_start(tmp_path):
    claim_folder(tmp_path / "job", beside=False)
    with (
        pytest.raises(FerError, match="was killed before it started"),
        claimed_folder(tmp_path / "job", resume=False, beside=False),
    ):
        pass
    assert read_record(tmp_path / "job").status == STARTING


def test_the_id_is_in_record_and_checkpoint_and_is_kept(stopped, fer_train):
    record = read_record(stopped)
    assert load_run(stopped).checkpoint.run_id == record.id
    assert fer_train(f"resume={stopped}").status == 0
    assert read_record(stopped).id == load_run(stopped).checkpoint.run_id == record.id


def test_a_checkpoint_of_another_run_is_not_resumed(stopped, tiny_run, fer_train, capsys):
    other = tiny_run("seed=5").folder
    shutil.copy(other / "checkpoints/last.ckpt", stopped / "checkpoints/last.ckpt")
    assert fer_train(f"resume={stopped}").status == 2
    assert (
        "expected a checkpoint of the run in this folder, got one of another run" in capsys.readouterr().err
    )


def test_stored_paths_are_absolute(monkeypatch, tiny_run):
    weights = tiny_run().folder
    monkeypatch.chdir(weights.parent)
    run = tiny_run(f"model.init_from={weights.name}")
    stored = torch.load(run.folder / "checkpoints/best.ckpt", weights_only=True)["hyper_parameters"]["config"]
    written = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert stored["model"]["init_from"] == written["model"]["init_from"] == str(weights)
    assert f"model.init_from={weights.name}" in read_record(run.folder).command
