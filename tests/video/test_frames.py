import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest
from films import SIZE, FakeCamera, read_film, scene, write_film

from fer.errors import FerError
from fer.video.frames import USUAL_RATE, Film, Webcam, open_source

# A film is compressed: colours are near, not equal.
NEAR = 12


def test_every_frame_comes_once_upright_in_rgb_and_on_time(tmp_path):
    pictures = [
        np.dstack([scene(i)[..., 0], scene(i)[..., 0] // 2, scene(i)[..., 0] // 4]) for i in range(10)
    ]
    film = Film(write_film(tmp_path / "a.mp4", pictures, rate=20))
    frames = list(film)
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.seconds for frame in frames] == pytest.approx([i / 20 for i in range(10)], abs=1e-3)
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.picture.shape == (SIZE[1], SIZE[0], 3)
        assert np.abs(frame.picture.astype(int) - picture).mean() < NEAR
    assert (film.rate, film.count, film.shortfall()) == (20, 10, None)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [((0, 1, -1, 0), np.rot90(scene(0), -1)), ((-1, 0, 0, -1), scene(0)[::-1, ::-1])],
    ids=["on its side", "on its head"],
)
def test_a_film_from_a_turned_phone_comes_upright(tmp_path, matrix, expected):
    path = write_film(tmp_path / "a.mp4", [scene(0)] * 3)
    path.write_bytes(turned(path.read_bytes(), matrix))
    (frame, *_) = Film(path)
    assert frame.picture.shape == expected.shape
    assert np.abs(frame.picture.astype(int) - expected).mean() < NEAR


def turned(content: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Set the rotation in the track header (ISO/IEC 14496-12, 8.3.2), as phones do."""
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.mov"])
def test_common_kinds_of_film_are_read(tmp_path, name):
    assert len(list(Film(write_film(tmp_path / name, [scene(i) for i in range(5)])))) == 5


def test_a_film_that_ends_in_the_middle_is_read_up_to_there(tmp_path):
    path = write_film(tmp_path / "a.avi", [scene(i % 20) for i in range(60)], codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    film = Film(path)
    done = len(list(film))
    assert 20 < done < 40
    words = f"a.avi: ends in the middle: expected about {60 / film.rate:.1f} s, could read"
    assert film.shortfall().startswith(str(tmp_path / words[: words.index(":")]) + words[words.index(":") :])
    assert f"({done} frames)" in film.shortfall()


def test_a_film_of_varying_rate_is_whole(tmp_path):
    """A recording of a screen leaves frames out that show nothing new, and Matroska counts none."""
    av = pytest.importorskip("av", reason="needs PyAV (extra app)")
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=60)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in (*range(5), *range(5, 300, 10), 300):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 250, np.uint8))
            frame.pts, frame.time_base = number, Fraction(1, 60)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    film = Film(path)
    frames = list(film)
    assert film.count > 2 * len(frames)
    assert frames[-1].seconds == pytest.approx(5.0, abs=0.1)
    assert film.shortfall() is None


@pytest.mark.parametrize(("suffix", "live"), [(".webm", True), (".webm", False), (".mkv", False)])
def test_a_time_base_is_no_rate(tmp_path, suffix, live):
    """A browser's recording has a clock of milliseconds, and names no frame rate; OpenCV counts its ticks."""
    av = pytest.importorskip("av", reason="needs PyAV (extra app)")
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", options={"live": "1"} if live else {}) as container:
        stream = container.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(150):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8))
            frame.pts, frame.time_base = 33 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    film = Film(path)
    assert film.rate == USUAL_RATE
    assert film.count == (None if live else pytest.approx(4.95 * USUAL_RATE, abs=2))
    assert [round(frame.seconds, 2) for frame in film][:3] == [0.0, 0.03, 0.07]
    assert film.read == 150
    assert film.shortfall() is None


def cut_mp4(path):
    write_film(path, [scene(i) for i in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_pictures(path):
    """Keep the header, and wipe what it points to."""
    write_film(path, [scene(i) for i in range(20)], codec="MJPG")
    content = path.read_bytes()
    first, last = content.index(b"movi") + 4, content.rindex(b"idx1")
    path.write_bytes(content[:first] + bytes(last - first) + content[last:])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.mp4", lambda path: None, "expected a film, found nothing. Check the path"),
        ("folder.mp4", lambda path: path.mkdir(), "expected a film, found a folder"),
        ("empty.mp4", lambda path: path.touch(), "the file is empty"),
        (
            "text.mp4",
            lambda path: path.write_text("not a film" * 99),
            "no film, is damaged, or lacks its end",
        ),
        ("cut.mp4", cut_mp4, "no film, is damaged, or lacks its end"),
        ("hollow.avi", without_pictures, "no frame of it can be decoded"),
    ],
)
def test_what_is_no_film_is_told_in_one_line(tmp_path, name, make, message, capfd):
    make(tmp_path / name)
    with pytest.raises(FerError, match=message) as raised:
        Film(tmp_path / name)
    assert name in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_name_with_odd_signs_is_opened(tmp_path):
    path = write_film(tmp_path / "a.mp4", [scene(0)]).rename(tmp_path / "50% of: größe %03d.mp4")
    assert len(list(Film(path))) == 1


def test_there_is_no_such_webcam(capfd):
    with pytest.raises(FerError, match=r"webcam 97: cannot be opened\. This system shows"):
        open_source("97")
    assert capfd.readouterr() == ("", "")


def test_a_webcam_gives_frames_until_it_is_pulled_out(monkeypatch):
    camera = FakeCamera(3)
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: camera)
    webcam, frames = open_source("0"), []
    assert isinstance(webcam, Webcam)
    with pytest.raises(FerError, match="webcam 0: gives no picture any more"):
        frames.extend(webcam)
    assert [frame.index for frame in frames] == [0, 1, 2]
    webcam.close()
    assert camera.released


@pytest.mark.parametrize(
    ("says", "taken"), [(0.0, 25.0), (15.0, 15.0), (90000.0, 25.0), (float("nan"), 25.0)]
)
def test_a_camera_that_does_not_know_its_rate_gets_the_usual_one(monkeypatch, says, taken):
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: FakeCamera(1, rate=says))
    assert open_source(0).rate == taken


def test_the_helper_reads_what_it_writes(tmp_path):
    pictures, rate = read_film(write_film(tmp_path / "a.mp4", [scene(0), scene(5)], rate=30))
    assert (len(pictures), rate) == (2, 30)
