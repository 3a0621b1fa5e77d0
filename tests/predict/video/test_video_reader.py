"""Frames of video files and webcams, and errors."""

import re
import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest
from video_files import SIZE, FakeCamera, read_video, render_frame, write_video

from fer.core.errors import FerError
from fer.predict.video.reader import DEFAULT_FPS, VideoFile, Webcam, open_source

# Largest mean difference of gray levels after lossy compression.
TOLERANCE = 12


def test_frames_are_rgb_with_index_and_time(tmp_path):
    images = [
        np.dstack([render_frame(i)[..., 0], render_frame(i)[..., 0] // 2, render_frame(i)[..., 0] // 4])
        for i in range(10)
    ]
    video = VideoFile(write_video(tmp_path / "a.mp4", images, rate=20))
    frames = list(video)
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.seconds for frame in frames] == pytest.approx([i / 20 for i in range(10)], abs=1e-3)
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.shape == (SIZE[1], SIZE[0], 3)
        assert np.abs(frame.image.astype(int) - image).mean() < TOLERANCE
    assert (video.fps, video.frame_count, video.truncation_message()) == (20, 10, None)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [((0, 1, -1, 0), np.rot90(render_frame(0), -1)), ((-1, 0, 0, -1), render_frame(0)[::-1, ::-1])],
    ids=["90 degrees", "180 degrees"],
)
def test_a_rotated_video_is_read_upright(tmp_path, matrix, expected):
    path = write_video(tmp_path / "a.mp4", [render_frame(0)] * 3)
    path.write_bytes(with_rotation(path.read_bytes(), matrix))
    (frame, *_) = VideoFile(path)
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < TOLERANCE


def with_rotation(content: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Set the rotation in the track header (ISO/IEC 14496-12, 8.3.2), as phones do."""
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.mov"])
def test_common_containers_are_read(tmp_path, name):
    assert len(list(VideoFile(write_video(tmp_path / name, [render_frame(i) for i in range(5)])))) == 5


def test_a_truncated_video_is_read_to_its_end(tmp_path):
    path = write_video(tmp_path / "a.avi", [render_frame(i % 20) for i in range(60)], codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = VideoFile(path)
    done = len(list(video))
    assert 20 < done < 40
    message = f"{tmp_path / 'a.avi'}: expected about {60 / video.fps:.1f} s, could read only"
    assert video.truncation_message().startswith(message)
    assert f"({done} frames)" in video.truncation_message()


def write_motion_jpeg(path, images, size):
    """Write an AVI of JPEGs whose header has this width and height."""

    def chunk(name, content):
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]
    main = struct.pack("<14I", 40_000, 0, 0, 0, len(images), 0, 1, 0, *size, 0, 0, 0, 0)
    stream = b"vidsMJPG" + struct.pack("<10I4h", 0, 0, 0, 1, 25, 0, len(images), 0, 0, 0, 0, 0, *size)
    layout = struct.pack("<IiiHH4sIiiII", 40, *size, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", layout))
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + streams)
    data = chunk(b"LIST", b"movi" + b"".join(chunk(b"00dc", jpeg) for jpeg in jpegs))
    path.write_bytes(chunk(b"RIFF", b"AVI " + header + data))
    return path


WIDTH, HEIGHT = SIZE


@pytest.mark.parametrize("header", [SIZE, (WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT * 2), (64, 480)], ids=str)
def test_frames_of_motion_jpeg_have_their_own_size(tmp_path, header):
    """The header may claim another size, and frames may differ."""
    small, wide = render_frame(3), np.full((48, 400, 3), 90, np.uint8)
    images = [small] * 3 + [wide] * 2 + [cv2.resize(small, None, fx=4, fy=4)] * 2
    video = VideoFile(write_motion_jpeg(tmp_path / "a.avi", images, header))
    frames = list(video)
    assert [frame.image.shape for frame in frames] == [image.shape for image in images]
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < TOLERANCE
    assert [frame.seconds for frame in frames] == pytest.approx([i / 25 for i in range(7)], abs=1e-3)
    assert (video.fps, video.truncation_message()) == (25, None)


def test_damaged_frames_of_motion_jpeg_are_skipped(tmp_path):
    path = write_motion_jpeg(tmp_path / "a.avi", [render_frame(i) for i in range(8)], SIZE)
    content = path.read_bytes()
    at = [match.start() for match in re.finditer(b"\xff\xd8\xff", content)]
    path.write_bytes(content[: at[3]] + bytes(at[5] - 8 - at[3]) + content[at[5] - 8 :])
    video = VideoFile(path)
    assert len(list(video)) == 6


def test_a_video_with_variable_frame_rate_is_complete(tmp_path):
    """Screen recordings skip frames without changes, and Matroska has no frame count."""
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
    video = VideoFile(path)
    frames = list(video)
    assert video.frame_count > 2 * len(frames)
    assert frames[-1].seconds == pytest.approx(5.0, abs=0.1)
    assert video.truncation_message() is None


@pytest.mark.parametrize(("suffix", "live"), [(".webm", True), (".webm", False), (".mkv", False)])
def test_a_time_base_is_not_a_frame_rate(tmp_path, suffix, live):
    """A browser's recording has a time base of 1 ms and no frame rate; OpenCV gives the ticks per second."""
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
    video = VideoFile(path)
    assert video.fps == DEFAULT_FPS
    assert video.frame_count == (None if live else pytest.approx(4.95 * DEFAULT_FPS, abs=2))
    assert [round(frame.seconds, 2) for frame in video][:3] == [0.0, 0.03, 0.07]
    assert video.frames_read == 150
    assert video.truncation_message() is None


def write_truncated_mp4(path):
    write_video(path, [render_frame(i) for i in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_without_data(path):
    """Write a video whose header is intact and whose data is zero."""
    write_video(path, [render_frame(i) for i in range(20)], codec="MJPG")
    content = path.read_bytes()
    first, last = content.index(b"movi") + 4, content.rindex(b"idx1")
    path.write_bytes(content[:first] + bytes(last - first) + content[last:])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.mp4", lambda path: None, "expected a video, got a path that does not exist. Check the path"),
        ("folder.mp4", lambda path: path.mkdir(), "expected a video, got a folder"),
        ("empty.mp4", lambda path: path.touch(), "got an empty file"),
        (
            "text.mp4",
            lambda path: path.write_text("not a video" * 99),
            "not a video or is truncated",
        ),
        ("cut.mp4", write_truncated_mp4, "not a video or is truncated"),
        ("hollow.avi", write_without_data, "no frame can be decoded"),
    ],
)
def test_an_invalid_video_is_an_error_in_one_line(tmp_path, name, make, message, capfd):
    make(tmp_path / name)
    with pytest.raises(FerError, match=message) as raised:
        VideoFile(tmp_path / name)
    assert name in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_name_with_special_characters_is_opened(tmp_path):
    path = write_video(tmp_path / "a.mp4", [render_frame(0)]).rename(tmp_path / "50% of: größe %03d.mp4")
    assert len(list(VideoFile(path))) == 1


def test_a_missing_webcam_is_an_error(capfd):
    with pytest.raises(FerError, match=r"webcam 97: cannot be opened\. This system has"):
        open_source("97")
    assert capfd.readouterr() == ("", "")


def test_a_webcam_gives_frames_until_it_is_unplugged(monkeypatch):
    camera = FakeCamera(3)
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: camera)
    webcam, frames = open_source("0"), []
    assert isinstance(webcam, Webcam)
    with pytest.raises(FerError, match="webcam 0: expected a frame, got none"):
        frames.extend(webcam)
    assert [frame.index for frame in frames] == [0, 1, 2]
    webcam.close()
    assert camera.released


@pytest.mark.parametrize(
    ("reported", "fps"), [(0.0, 25.0), (15.0, 15.0), (90000.0, 25.0), (float("nan"), 25.0)]
)
def test_a_camera_without_a_valid_rate_gets_the_default(monkeypatch, reported, fps):
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: FakeCamera(1, rate=reported))
    assert open_source(0).fps == fps


def test_video_helpers_round_trip(tmp_path):
    images, rate = read_video(write_video(tmp_path / "a.mp4", [render_frame(0), render_frame(5)], rate=30))
    assert (len(images), rate) == (2, 30)
