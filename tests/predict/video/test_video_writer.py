"""Annotated videos: size, timing, partial files, and errors."""

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from video_files import SIZE, read_video, render_frame

from fer.core.errors import FerError
from fer.predict.video import writer
from fer.predict.video.writer import VideoFileWriter

H264, MPEG4 = "H.264", "MPEG-4 Part 2"


@pytest.fixture(params=[H264, MPEG4], autouse=True)
def codec(request, monkeypatch):
    """Write with PyAV and without."""
    if request.param == MPEG4:
        monkeypatch.setattr(writer, "find_spec", lambda name: None)
    else:
        pytest.importorskip("av", reason="H.264 needs PyAV")
    return request.param


only_mpeg4 = pytest.mark.parametrize("codec", [MPEG4], indirect=True)


@pytest.mark.parametrize("name", ["a.mp4", "a.MOV", "a.mkv", "a.avi", "a.m4v"])
def test_size_rate_and_colours_are_preserved(tmp_path, name):
    images = [
        np.dstack([render_frame(i)[..., 0], render_frame(i)[..., 0] // 2, render_frame(i)[..., 0] // 4])
        for i in range(8)
    ]
    with VideoFileWriter(tmp_path / name, 29.97) as video:
        for index, image in enumerate(images):
            video.write(image, index / 29.97)
    written, rate = read_video(tmp_path / name)
    assert (len(written), rate) == (8, pytest.approx(29.97, abs=0.01))
    for result, image in zip(written, images, strict=True):
        assert result.shape == image.shape
        assert np.abs(result.astype(int) - image).mean() < 12
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_colon_in_a_name_is_not_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoFileWriter(Path("12:30.mp4"), 25) as video:
        video.write(render_frame(0), 0.0)
    assert len(read_video(tmp_path / "12:30.mp4")[0]) == 1


def test_the_partial_video_is_kept_if_it_cannot_be_renamed(tmp_path):
    video = VideoFileWriter(tmp_path / "a.mp4", 25)
    video.write(render_frame(0), 0.0)
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(FerError, match=r"kept as .*a\.part\.mp4"):
        video.finish()
    assert len(read_video(tmp_path / "a.part.mp4")[0]) == 1


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(65, 49, (66, 50)), (64, 49, (64, 50)), (1, 1, None)]
)
def test_no_row_or_column_of_an_odd_size_is_lost(tmp_path, width, height, expected, codec):
    image = np.full((height, width, 3), 40, np.uint8)
    image[-1:], image[:, -1:] = 220, 220
    with VideoFileWriter(tmp_path / "a.mp4", 25) as video:
        video.write(image, 0.0)
    ((image,), _) = read_video(tmp_path / "a.mp4")
    smallest = (2, 2) if codec == H264 else (16, 16)
    assert image.shape[1::-1] == (expected or smallest)
    assert image[height - 1, :width].mean() > 150
    assert image[:height, width - 1].mean() > 150


def test_an_image_of_another_size_is_resized(tmp_path):
    with VideoFileWriter(tmp_path / "a.mp4", 25) as video:
        video.write(render_frame(0), 0.0)
        video.write(np.full((300, 200, 3), 200, np.uint8), 0.04)
    images, _ = read_video(tmp_path / "a.mp4")
    assert [image.shape[1::-1] for image in images] == [SIZE, SIZE]
    assert images[1].mean() == pytest.approx(200, abs=6)


@pytest.mark.parametrize("rate", [333.333, 59.94005994, 119.88, 14.98513, 1.5])
def test_fractional_rates(tmp_path, rate):
    with VideoFileWriter(tmp_path / "a.mp4", rate) as video:
        video.write(render_frame(0), 0.0)
        video.write(render_frame(1), 1 / rate)
    assert read_video(tmp_path / "a.mp4")[1] == pytest.approx(rate, rel=0.002)


@only_mpeg4
def test_each_image_is_shown_from_its_time_until_the_next(tmp_path):
    """At 10 frames per second: one image at 0 s, three within one frame at 0.5 s, one at 1 s."""
    with VideoFileWriter(tmp_path / "a.mp4", 10) as video:
        for gray, seconds in ((20, 0.0), (120, 0.5), (160, 0.52), (180, 0.54), (220, 1.0)):
            video.write(np.full((32, 32, 3), gray, np.uint8), seconds)
    images, _ = read_video(tmp_path / "a.mp4")
    expected = [20] * 5 + [120] * 5 + [220]
    assert [round(float(image.mean())) for image in images] == pytest.approx(expected, abs=6)


def test_after_an_error_partial_and_existing_video_are_kept(tmp_path, capsys):
    (tmp_path / "a.mp4").write_text("existing")
    with contextlib.suppress(KeyboardInterrupt), VideoFileWriter(tmp_path / "a.mp4", 25) as video:
        for index in range(6):
            video.write(render_frame(index), index / 25)
        raise KeyboardInterrupt
    assert len(read_video(tmp_path / "a.part.mp4")[0]) == 6
    assert (tmp_path / "a.mp4").read_text() == "existing"
    assert "a.part.mp4: the 6 frames written so far are kept here." in capsys.readouterr().err


def test_no_images_give_no_video(tmp_path):
    with VideoFileWriter(tmp_path / "a.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.webm", "a.gif", "a"])
def test_an_unsupported_suffix_is_an_error(tmp_path, name):
    with pytest.raises(FerError, match=r"expected a video file ending in \.mp4, "):
        VideoFileWriter(tmp_path / name, 25)


def test_a_missing_folder_is_an_error(tmp_path, capsys):
    with (
        pytest.raises(FerError, match=r"cannot be (created|written)"),
        VideoFileWriter(tmp_path / "none" / "a.mp4", 25) as video,
    ):
        video.write(render_frame(0), 0.0)
    assert "kept" not in capsys.readouterr().err


FULL = """
import resource, sys, numpy as np
from fer.core.errors import FerError
from fer.predict.video import writer
if sys.argv[2] == "MPEG-4 Part 2":
    writer.find_spec = lambda name: None
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0)
try:
    with writer.VideoFileWriter(sys.argv[1], 25) as video:
        for index in range(30):
            video.write(noise.integers(0, 256, (240, 320, 3), np.uint8), index / 25)
except FerError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes on Windows")
def test_a_full_disk_is_an_error(tmp_path, codec):
    """OpenCV gives no error. The file size is limited to 200 kB, and 30 frames of noise need more."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.mp4"), codec]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = {H264: "this video cannot be written (File too large)", MPEG4: "expected 30 frames, got"}
    assert f"a.part.mp4: {expected[codec]}" in output
    assert not (tmp_path / "a.mp4").exists()


def test_the_reason_for_another_codec_is_given(codec):
    reason = writer.why_not_h264(Path("a.mp4"))
    assert reason is None if codec == H264 else "uv pip install av" in reason
    assert "name it .mp4" in writer.why_not_h264(Path("a.AVI"))
