import os
from pathlib import Path

import av
import numpy as np
import pytest
from films import read_film, scene

from fer.app.playable import LONGEST_SIDE, PlayableFilm


def opened(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    return stream, frames


def test_a_film_of_h264_that_browsers_take(tmp_path):
    path = tmp_path / "film.mp4"
    with PlayableFilm(path) as film:
        for index in range(10):
            film.write(scene(index), index / 25)
    stream, frames = opened(path)
    assert film.written == len(frames) == 10
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before all is there
    pictures, _ = read_film(path)
    assert np.abs(pictures[9].astype(int) - scene(9)).mean() < 4


def test_each_picture_has_its_own_time(tmp_path):
    times = [0.0, 0.04, 0.5, 0.5, 2.0]  # two at once, as damaged films have them
    with PlayableFilm(tmp_path / "film.mp4") as film:
        for index, seconds in enumerate(times):
            film.write(scene(index), seconds)
    _, frames = opened(tmp_path / "film.mp4")
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((120, 160), (160, 120)),
        ((121, 161), (160, 120)),
        ((1440, 2560), (LONGEST_SIDE, 720)),
        ((1, 40), (40, 2)),
    ],
)
def test_sides_are_even_and_not_too_long(tmp_path, shape, size):
    with PlayableFilm(tmp_path / "film.mp4") as film:
        film.write(np.zeros((*shape, 3), np.uint8), 0.0)
        film.write(np.zeros((50, 50, 3), np.uint8), 0.1)  # resized
    stream, frames = opened(tmp_path / "film.mp4")
    assert abs(stream.width - size[0]) <= 2
    assert abs(stream.height - size[1]) <= 2
    assert (stream.width % 2, stream.height % 2, len(frames)) == (0, 0, 2)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see which files are open")
def test_after_an_error_the_file_is_closed(tmp_path):
    path = tmp_path / "film.mp4"

    def interrupted():
        with PlayableFilm(path) as film:
            for index in range(100):  # enough for the first to be on disk
                film.write(scene(index % 20), index / 25)
            raise RuntimeError("elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        interrupted()
    assert path.exists()
    assert str(path) not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
