import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from films import SIZE, read_film, scene

from fer.errors import FerError
from fer.video.writer import FilmWriter


@pytest.mark.parametrize("name", ["a.mp4", "a.MOV", "a.mkv", "a.avi", "a.m4v"])
def test_frames_size_rate_and_colours_are_kept(tmp_path, name):
    pictures = [np.dstack([scene(i)[..., 0], scene(i)[..., 0] // 2, scene(i)[..., 0] // 4]) for i in range(8)]
    with FilmWriter(tmp_path / name, 29.97) as film:
        for index, picture in enumerate(pictures):
            film.write(picture, index / 29.97)
    found, rate = read_film(tmp_path / name)
    assert (len(found), rate) == (8, pytest.approx(29.97, abs=0.01))
    for got, put in zip(found, pictures, strict=True):
        assert got.shape == put.shape
        assert np.abs(got.astype(int) - put).mean() < 12
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FilmWriter(Path("12:30.mp4"), 25) as film:
        film.write(scene(0), 0.0)
    assert len(read_film(tmp_path / "12:30.mp4")[0]) == 1


def test_a_name_that_a_folder_took_meanwhile_leaves_the_film_beside_it(tmp_path):
    film = FilmWriter(tmp_path / "a.mp4", 25)
    film.write(scene(0), 0.0)
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(FerError, match=r"kept as .*a\.part\.mp4"):
        film.finish()
    assert len(read_film(tmp_path / "a.part.mp4")[0]) == 1


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(65, 49, (66, 50)), (64, 49, (64, 50)), (1, 1, (16, 16))]
)
def test_no_row_or_column_of_an_odd_size_is_lost(tmp_path, width, height, expected):
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[-1:], picture[:, -1:] = 220, 220
    with FilmWriter(tmp_path / "a.mp4", 25) as film:
        film.write(picture, 0.0)
    ((found,), _) = read_film(tmp_path / "a.mp4")
    assert found.shape[1::-1] == expected
    assert found[height - 1, :width].mean() > 150
    assert found[:height, width - 1].mean() > 150


def test_a_picture_of_another_size_is_resized(tmp_path):
    with FilmWriter(tmp_path / "a.mp4", 25) as film:
        film.write(scene(0), 0.0)
        film.write(np.full((300, 200, 3), 200, np.uint8), 0.04)
    found, _ = read_film(tmp_path / "a.mp4")
    assert [picture.shape[1::-1] for picture in found] == [SIZE, SIZE]
    assert found[1].mean() == pytest.approx(200, abs=6)


@pytest.mark.parametrize("rate", [333.333, 59.94005994, 119.88, 14.98513, 1.5])
def test_every_rate_can_be_written(tmp_path, rate):
    with FilmWriter(tmp_path / "a.mp4", rate) as film:
        film.write(scene(0), 0.0)
        film.write(scene(1), 1 / rate)
    assert read_film(tmp_path / "a.mp4")[1] == pytest.approx(rate, rel=0.002)


def test_each_picture_is_shown_at_its_time_until_the_next(tmp_path):
    """At 10 frames a second: one picture at 0 s, three within a frame at 0.5 s, one at 1 s."""
    with FilmWriter(tmp_path / "a.mp4", 10) as film:
        for gray, seconds in ((20, 0.0), (120, 0.5), (160, 0.52), (180, 0.54), (220, 1.0)):
            film.write(np.full((32, 32, 3), gray, np.uint8), seconds)
    found, _ = read_film(tmp_path / "a.mp4")
    expected = [20] * 5 + [120] * 5 + [220]
    assert [round(float(picture.mean())) for picture in found] == pytest.approx(expected, abs=6)


def test_after_an_error_the_part_is_kept_and_plays_and_an_earlier_film_stays(tmp_path, capsys):
    (tmp_path / "a.mp4").write_text("the film of yesterday")
    with contextlib.suppress(KeyboardInterrupt), FilmWriter(tmp_path / "a.mp4", 25) as film:
        for index in range(6):
            film.write(scene(index), index / 25)
        raise KeyboardInterrupt
    assert len(read_film(tmp_path / "a.part.mp4")[0]) == 6
    assert (tmp_path / "a.mp4").read_text() == "the film of yesterday"
    assert "a.part.mp4: the 6 frames that were done are kept here." in capsys.readouterr().err


def test_without_a_picture_there_is_no_film(tmp_path):
    with FilmWriter(tmp_path / "a.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.webm", "a.gif", "a"])
def test_a_suffix_that_cannot_be_written_is_told(tmp_path, name):
    with pytest.raises(FerError, match=r"expected an annotated film named \.mp4, "):
        FilmWriter(tmp_path / name, 25)


def test_a_missing_folder_is_told(tmp_path, capsys):
    with (
        pytest.raises(FerError, match="cannot be begun"),
        FilmWriter(tmp_path / "none" / "a.mp4", 25) as film,
    ):
        film.write(scene(0), 0.0)
    assert "kept" not in capsys.readouterr().err


FULL = """
import resource, sys, numpy as np
from fer.errors import FerError
from fer.video.writer import FilmWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0)
try:
    with FilmWriter(sys.argv[1], 25) as film:
        for index in range(30):
            film.write(noise.integers(0, 256, (240, 320, 3), np.uint8), index / 25)
except FerError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes on Windows")
def test_a_full_disk_is_told(tmp_path):
    """OpenCV says nothing of it: a file may grow to 200 kB only, and 30 frames of noise need more."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.mp4")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "a.part.mp4: expected 30 frames, found" in told
    assert not (tmp_path / "a.mp4").exists()
