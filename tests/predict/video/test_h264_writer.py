"""The annotated video: playable in browsers, with the original timing."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import read_video, render_frame

from fer.predict.video.h264 import H264Writer

MAX_OUTPUT_SIDE = 1280


def read_stream(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    return stream, frames


def test_a_video_has_h264_and_its_index_first(tmp_path):
    path = tmp_path / "video.mp4"
    with H264Writer(path) as writer:
        for index in range(10):
            writer.write(render_frame(index), index / 25)
    stream, frames = read_stream(path)
    assert writer.written == len(frames) == 10
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    # The index comes first: a browser can play before the download is done.
    assert content.index(b"moov") < content.index(b"mdat")
    images, _ = read_video(path)
    assert np.abs(images[9].astype(int) - render_frame(9)).mean() < 4


def test_each_frame_has_its_own_time(tmp_path):
    # Two equal times, as in damaged videos.
    times = [0.0, 0.04, 0.5, 0.5, 2.0]
    with H264Writer(tmp_path / "video.mp4", max_side=MAX_OUTPUT_SIDE) as writer:
        for index, seconds in enumerate(times):
            writer.write(render_frame(index), seconds)
    _, frames = read_stream(tmp_path / "video.mp4")
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((120, 160), (160, 120)),
        ((121, 161), (160, 120)),
        ((1440, 2560), (MAX_OUTPUT_SIDE, 720)),
        ((1, 40), (40, 2)),
    ],
)
def test_frames_are_resized_to_even_sides_within_the_limit(tmp_path, shape, size):
    with H264Writer(tmp_path / "video.mp4", max_side=MAX_OUTPUT_SIDE) as writer:
        writer.write(np.zeros((*shape, 3), np.uint8), 0.0)
        # Resized to the size of the first frame.
        writer.write(np.zeros((50, 50, 3), np.uint8), 0.1)
    stream, frames = read_stream(tmp_path / "video.mp4")
    assert abs(stream.width - size[0]) <= 2
    assert abs(stream.height - size[1]) <= 2
    assert (stream.width % 2, stream.height % 2, len(frames)) == (0, 0, 2)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to list open files")
def test_after_an_error_the_file_is_closed(tmp_path):
    path = tmp_path / "video.mp4"

    def write_and_fail():
        with H264Writer(path) as writer:
            # Enough frames for the first ones to be on disk.
            for index in range(100):
                writer.write(render_frame(index % 20), index / 25)
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_and_fail()
    assert path.exists()
    assert str(path) not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
