"""Timelines: written as JSONL and CSV, and errors."""

import csv
import json
from pathlib import Path

import pytest

from fer.core.errors import FerError
from fer.faces.base import Face
from fer.predict.predictor import Prediction
from fer.predict.video.timeline import Timeline, to_row

EMOTIONS = ("angry", "happy", "neutral")
ALL_SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".csv"])


def row(frame=3, face=1, uncertain=False, happy=0.75):
    rest = round((1 - happy) / 2, 6)
    probabilities = {"angry": rest, "happy": happy, "neutral": rest}
    prediction = Prediction(Face((10.5, -2.0, 30.0, 40.0), 1.0), probabilities, "happy", happy, uncertain)
    return to_row(frame, frame / 25, face, prediction)


def test_jsonl_is_read_by_any_json_reader(tmp_path):
    with Timeline(tmp_path / "out.jsonl", EMOTIONS) as timeline:
        timeline.write([row(), row(face=2)])
    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["box"] == [10.5, -2.0, 30.0, 40.0]
    assert second["face"] == 2
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_csv_is_read_by_any_csv_reader(tmp_path):
    with Timeline(tmp_path / "out.CSV", EMOTIONS, as_csv=True) as timeline:
        timeline.write([row(uncertain=True)])
    with (tmp_path / "out.CSV").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert list(cells)[-3:] == list(EMOTIONS)
    assert (cells["seconds"], cells["left"], cells["uncertain"], cells["happy"]) == (
        "0.12",
        "10.5",
        "true",
        "0.75",
    )


@ALL_SUFFIXES
def test_a_frame_is_on_disk_before_the_next(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    timeline = Timeline(path, EMOTIONS, as_csv=suffix == ".csv")
    for frame in range(3):
        timeline.write([row(frame)])
        assert len(path.read_text().splitlines()) == frame + 1 + (suffix == ".csv")


def test_a_folder_as_path_is_an_error(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(FerError, match="cannot be written"):
        Timeline(tmp_path / "out.csv", EMOTIONS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    # Closing does not raise the error again.
    with (
        Timeline(tmp_path / "out.jsonl", EMOTIONS) as timeline,
        pytest.raises(FerError, match="writing failed"),
    ):
        timeline.write([row()])
