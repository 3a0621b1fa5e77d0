"""Runs on faces that are aligned by landmarks: training, resuming, scoring and exporting."""

import json

import numpy as np
import pytest
from tiny import TINY_FACES

from fer.bundle.card import CROP_RULES
from fer.core.landmarks import ALIGNED
from fer.evaluation.crop import crop_rule
from fer.evaluation.split import data_config
from fer.models.checkpoint import load_checkpoint
from fer.training.config import RunConfig
from fer.training.run_folder import read_config

NUM_FACES = 64 + 32 + 8


@pytest.fixture
def landmarks(tmp_path):
    """A file of landmarks for `TINY_FACES`, with three faces without."""
    points = np.tile(np.array(ALIGNED) * 0.9 + 0.03, (NUM_FACES, 1, 1))
    points[:3] = np.nan
    np.save(tmp_path / "points.npy", points)
    return tmp_path / "points.npy"


@pytest.fixture
def aligned_run(tiny_run, landmarks):
    return tiny_run("model=fast_cnn_inner", *TINY_FACES, f"datamodule.landmarks={landmarks}")


def test_the_record_and_the_checkpoint_name_the_landmarks(capsys, aligned_run):
    assert aligned_run.status == 0
    assert f"aligned by landmarks: {NUM_FACES - 3} of {NUM_FACES} faces" in capsys.readouterr().out
    manifest = aligned_run.record["manifest"]
    assert manifest["landmarks"]["faces"] == NUM_FACES - 3
    assert load_checkpoint(aligned_run.folder / "checkpoints" / "last.ckpt").manifest == manifest


def test_a_run_is_resumed_with_the_same_landmarks_only(aligned_run, landmarks, fer_train, capsys):
    record = json.loads((aligned_run.folder / "run.json").read_text())
    (aligned_run.folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    config = (aligned_run.folder / "config.yaml").read_text()
    (aligned_run.folder / "config.yaml").write_text(config.replace("max_epochs: 1", "max_epochs: 2"))
    points = np.load(landmarks)
    np.save(landmarks, points + 0.02)
    assert fer_train(f"resume={aligned_run.folder}").status == 2
    assert "expected the data that the run was started with" in capsys.readouterr().err
    np.save(landmarks, points)
    assert fer_train(f"resume={aligned_run.folder}").status == 0


def test_an_aligned_run_is_scored_on_aligned_faces(aligned_run, fer_evaluate, tmp_path):
    status, output, _ = fer_evaluate(aligned_run.folder, "--split", "val", "--output", tmp_path / "report")
    assert status == 0, output
    assert str(data_config(read_config(aligned_run.folder)).landmarks).endswith("points.npy")


def test_other_data_are_aligned_by_the_detector():
    for data, expected in (
        ({"name": "fer2013", "path": "/a.csv", "landmarks": "/points.csv"}, "yunet"),
        ({"name": "fer2013", "path": "/a.csv"}, None),
        ({"name": "concat", "sources": [{"name": "synthetic", "landmarks": "yunet"}]}, "yunet"),
    ):
        config = RunConfig.from_dict({"model": {"name": "fast_cnn"}, "datamodule": data})
        for other in ("fer2013:/b.csv", "folder:/b"):
            assert data_config(config, other=other).landmarks == expected


def test_an_exported_model_crops_by_landmarks(aligned_run):
    from fer.evaluation.runs import load_run

    assert crop_rule([load_run(aligned_run.folder)]) == CROP_RULES["aligned"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "other.npy",
            np.zeros((5, 5, 2)),
            "expected a row for each of the 104 images of the data set, got 5",
        ),
        ("mesh.npy", np.zeros((NUM_FACES, 468, 2)), "expected an array (N, 5, 2) or (N, 10) of fractions"),
    ],
)
def test_wrong_landmarks_are_one_line(name, content, message, tiny_run, tmp_path, capsys):
    np.save(tmp_path / name, content)
    assert (
        tiny_run("model=fast_cnn_inner", *TINY_FACES, f"datamodule.landmarks={tmp_path / name}").status == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_relative_paths_become_absolute(landmarks, monkeypatch):
    monkeypatch.chdir(landmarks.parent)
    config = {
        "name": "concat",
        "sources": [{"name": "synthetic", "landmarks": "points.npy"}],
        "landmarks": "yunet",
    }
    values = {"model": {"name": "fast_cnn"}, "datamodule": config}
    data = RunConfig.from_dict(values).with_absolute_paths().data
    assert data.landmarks == "yunet"
    assert data.sources[0].landmarks == str(landmarks)
