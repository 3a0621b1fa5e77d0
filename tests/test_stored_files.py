"""Files that earlier code wrote still load, resume and report; see stored/README.md."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from fer import Predictor
from fer.bundle.registry import Registry
from fer.data.synthetic import read_synthetic
from fer.evaluation.runs import hash_recipe
from fer.models.checkpoint import load_checkpoint
from fer.sweep.report.results import load_sweep
from fer.training.config import RunConfig

STORED = Path(__file__).parent / "stored"
SMALL = (
    "model=fast_cnn", "model.pool=mean", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]",
    "model.image_size=16", "datamodule.num_train=280", "datamodule.num_val=140", "datamodule.num_test=70",
    "datamodule.size=16", "datamodule.batch_size=32", "trainer.precision=32-true",
)  # fmt: skip


@pytest.fixture
def stored(tmp_path):
    """A copy of the stored files that a test may change."""
    return Path(shutil.copytree(STORED, tmp_path / "stored"))


@pytest.fixture(scope="module")
def validation():
    """Images and labels that the stored run was validated on."""
    data = read_synthetic(280, 140, 70, 16, False, seed=0, num_workers=1)
    rows = data.split == data.split_names.index(data.roles["val"])
    return np.asarray(data.images)[rows], data.targets[rows]


def read_metrics(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def predict(checkpoint, images):
    with torch.no_grad():
        return checkpoint.model(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_score_as_in_training(validation, name):
    images, target = validation
    checkpoint = load_checkpoint(STORED / f"run/checkpoints/{name}.ckpt")
    expected = read_metrics(STORED / "run/metrics.csv")[checkpoint.epoch - 1]
    accuracy = (predict(checkpoint, images).argmax(1).numpy() == target).mean()
    assert accuracy == pytest.approx(float(expected["val/accuracy"]), abs=1.5 / len(target))


def test_evaluation_gives_the_accuracy_of_the_run(stored, fer_evaluate, no_plots):
    status, _, error = fer_evaluate(stored / "run", "--split", "val")
    assert (status, error) == (0, "")
    report = json.loads((stored / "run/report/val/metrics.json").read_text())
    best = max(float(row["val/accuracy"]) for row in read_metrics(STORED / "run/metrics.csv"))
    assert report["scores"]["accuracy"]["value"] == pytest.approx(best, abs=1.5 / 140)


def test_an_interrupted_run_is_resumed(stored, fer_train):
    run = fer_train(f"resume={stored / 'run'}")
    assert run.status == 0
    record = json.loads((stored / "run/run.json").read_text())
    assert (record["status"], record["resumes"], record["epochs"]) == ("finished", 1, 40)
    metrics, expected = read_metrics(stored / "run/metrics.csv"), read_metrics(STORED / "uninterrupted.csv")
    assert [row["epoch"] for row in metrics] == [row["epoch"] for row in expected]
    # Processors round differently, which adds up over the epochs.
    losses = [(float(a["val/loss"]), float(b["val/loss"])) for a, b in zip(metrics, expected, strict=True)]
    assert losses == [(pytest.approx(loss, rel=0.05), loss) for _, loss in losses]


def test_the_bundle_answers_like_the_checkpoint(validation):
    images, _ = validation
    checkpoint = load_checkpoint(STORED / "run/checkpoints/best.ckpt")
    temperature = json.loads((STORED / "run/checkpoints/calibration.json").read_text())["temperature"]
    expected = (predict(checkpoint, images[:8]) / temperature).softmax(1).numpy()
    predictor = Predictor(STORED / "run/bundle", detector="none")
    for image, probabilities in zip(images[:8], expected, strict=True):
        (face,) = predictor(np.repeat(image, 3, 2))
        assert list(face.probabilities.values()) == pytest.approx(probabilities, abs=1e-4)


def test_the_registry_lists_its_version():
    registry = Registry(STORED / "models")
    assert registry.versions("stored") == [1]
    assert (
        registry.load("stored").card.labels.names
        == load_checkpoint(STORED / "run/checkpoints/best.ckpt").labels.names
    )


def test_a_finished_sweep_is_read(stored):
    results = load_sweep(stored / "sweep", None, "stored")
    assert [trial.state for trial in results.trials] == [
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED
    ]  # fmt: skip


@pytest.mark.slow
def test_an_interrupted_sweep_is_resumed(stored, tmp_path, monkeypatch, no_plots):
    from fer.training.cli import main

    # Seconds; the trial that was running has no owner any more.
    monkeypatch.setattr("fer.sweep.study.GRACE_SECONDS", 1.0)
    folder, log = stored / "interrupted", stored / "interrupted/study.log"
    before = trials(log)
    ended = [trial for trial in before if trial.state.is_finished()]
    assert 0 < len(ended) < len(before) == 6
    overrides = (
        "sweep=smoke", "trainer.max_epochs=3", "sweep.n_trials=6", "sweep.name=interrupted",
        f"sweep.storage=journal:{log}", f"hydra.sweep.dir={folder}", f"output_dir={tmp_path}",
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["fer-train", "-m", *SMALL, *overrides])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert not exit_.value.code
    after = trials(log)
    assert all(trial.state.is_finished() for trial in after)
    assert [after[trial.number] for trial in ended] == ended
    assert [trial.params for trial in after] == [
        trial.params or after[i].params for i, trial in enumerate(before)
    ]


def trials(log):
    storage = JournalStorage(JournalFileBackend(str(log)))
    return optuna.load_study(study_name="interrupted", storage=storage).trials


def test_a_recipe_has_the_hash_of_before():
    """Options that have been added since do not change it, so old and new seeds are seeds of one recipe."""
    stored = yaml.safe_load((STORED / "run/config.yaml").read_text())
    expected = json.loads((STORED / "run/bundle/card.json").read_text())["training"]["recipe_sha256"]
    assert hash_recipe(stored) == expected
    assert hash_recipe(RunConfig.from_dict(stored).to_dict()) == expected
