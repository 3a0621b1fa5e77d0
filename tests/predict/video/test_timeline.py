"""Timelines: written as JSONL and CSV, read, and errors."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.predict.video.timeline import Row, Timeline, read_timeline

EMOTIONS = ("angry", "happy", "neutral")
ALL_SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".csv"])


def row(frame=3, face=1, uncertain=False, happy=0.75):
    rest = round((1 - happy) / 2, 6)
    probabilities = {"angry": rest, "happy": happy, "neutral": rest}
    return Row(frame, frame / 25, face, (10.5, -2.0, 30.0, 40.0), "happy", happy, uncertain, probabilities)


numbers = st.integers(0, 10**6)
rows = st.lists(
    st.builds(row, numbers, numbers, st.booleans(), st.integers(0, 100).map(lambda n: n / 100)), max_size=5
)


@ALL_SUFFIXES
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(frames=st.lists(rows, max_size=4))
def test_timeline_round_trip(tmp_path, suffix, frames):
    path = tmp_path / f"out{suffix}"
    with Timeline(path, EMOTIONS) as timeline:
        for faces in frames:
            timeline.write(faces)
    assert list(read_timeline(path)) == [face for faces in frames for face in faces]


def test_jsonl_is_read_by_any_json_reader(tmp_path):
    with Timeline(tmp_path / "out.jsonl", EMOTIONS) as timeline:
        timeline.write([row(), row(face=2)])
    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["box"] == [10.5, -2.0, 30.0, 40.0]
    assert second["face"] == 2
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_csv_is_read_by_any_csv_reader(tmp_path):
    with Timeline(tmp_path / "out.CSV", EMOTIONS) as timeline:
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
    timeline = Timeline(tmp_path / f"out{suffix}", EMOTIONS)
    for frame in range(3):
        timeline.write([row(frame)])
        assert [read.frame for read in read_timeline(timeline.path)] == list(range(frame + 1))
    timeline.close()


@ALL_SUFFIXES
def test_a_truncated_line_is_named(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with Timeline(path, EMOTIONS) as timeline:
        timeline.write([row(0), row(1), row(2)])
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines)[: -len(lines[-1]) // 2])
    with pytest.raises(FerError, match=rf"line {len(lines)}: expected a timeline row"):
        list(read_timeline(path))


@ALL_SUFFIXES
@pytest.mark.parametrize("text", ["something else\n", '{"frame": 1}\n', "frame,seconds\n1,2\n", "[1]\n1\n"])
def test_other_files_are_rejected(tmp_path, suffix, text):
    (tmp_path / f"out{suffix}").write_text(text + text)
    with pytest.raises(FerError, match="line"):
        list(read_timeline(tmp_path / f"out{suffix}"))


@pytest.mark.parametrize(
    ("suffix", "content"), [(".jsonl", b"\xff\xfe{"), (".csv", b"\xff"), (".csv", b'frame,"a\n1')]
)
def test_wrong_encoding_or_quoting_is_an_error(tmp_path, suffix, content):
    (tmp_path / f"out{suffix}").write_bytes(content)
    with pytest.raises(FerError, match="expected a timeline in UTF-8"):
        list(read_timeline(tmp_path / f"out{suffix}"))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FerError, match=r"none\.csv: expected a timeline"):
        list(read_timeline(tmp_path / "none.csv"))


def test_the_suffix_must_be_known(tmp_path):
    with pytest.raises(
        FerError, match=r"out\.txt: expected a timeline ending in \.jsonl or \.csv, got '\.txt'"
    ):
        Timeline(tmp_path / "out.txt", EMOTIONS)


def test_a_folder_as_path_is_an_error(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(FerError, match="cannot be written"):
        Timeline(tmp_path / "out.csv", EMOTIONS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    timeline = Timeline(tmp_path / "out.jsonl", EMOTIONS)
    with pytest.raises(FerError, match="writing failed"):
        timeline.write([row()])
    # Closing does not raise the error again.
    timeline.close()
