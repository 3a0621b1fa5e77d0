"""The analysis of an uploaded video, and files that are rejected."""

import csv
import io
import json
import tempfile
from contextlib import nullcontext

import av
import numpy as np
import pytest
from video_files import SquarePredictor, render_frame, write_video

from fer.app import video
from fer.app.settings import MAX_VIDEO_SECONDS
from fer.app.video import VideoJob
from fer.core.errors import FerError
from fer.predict.video.run import run_video


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path, monkeypatch):
    """Check that every test leaves no temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def job(progress=lambda done, total: None, **options):
    return VideoJob(SquarePredictor(), nullcontext, progress, **options)


def file_content(path):
    return io.BytesIO(path.read_bytes())


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    return write_video(
        tmp_path_factory.mktemp("videos") / "crossing.mp4", [render_frame(index) for index in range(20)]
    )


def test_rows_equal_those_of_fer_predict(crossing, tmp_path):
    progress = []
    analysis = job(lambda done, total: progress.append((done, total))).run(
        "crossing.mp4", file_content(crossing)
    )
    run_video(crossing, SquarePredictor(), json=tmp_path / "rows.jsonl", show=False)
    assert analysis.jsonl.decode() == (tmp_path / "rows.jsonl").read_text()
    run_video(crossing, SquarePredictor(), csv=tmp_path / "rows.csv", show=False)
    assert analysis.csv.decode() == (tmp_path / "rows.csv").read_text()
    assert progress == [(done, 20) for done in range(1, 21)]
    assert analysis.warning is None
    assert (analysis.summary.frames, analysis.history.faces()) == (20, [1, 2])
    with av.open(io.BytesIO(analysis.video)) as copy:
        assert len(list(copy.decode(video=0))) == 20


def test_charts_have_a_bounded_number_of_points(crossing):
    analysis = job().run("crossing.mp4", file_content(crossing))
    times, probabilities = analysis.history.probabilities(1)
    # 0.8 s in steps of 0.1 s.
    assert len(times) == 8
    assert np.nanmin(probabilities.sum(1)) == pytest.approx(1)


def test_more_faces_than_the_limit_are_told(crossing, monkeypatch):
    assert job().run("crossing.mp4", file_content(crossing)).warning is None
    monkeypatch.setattr(video, "MAX_FACES_PER_FRAME", 1)
    analysis = job().run("crossing.mp4", file_content(crossing))
    assert analysis.warning == (
        "Only the 1 largest faces of a frame were analysed; a frame has up to 2. "
        "fer-predict has no such limit."
    )


def test_an_exception_in_the_progress_callback_ends_the_job(crossing):
    class StopScriptError(BaseException):
        """Like Streamlit's exception, which derives from BaseException."""

    def progress(done, total):
        if done == 3:
            raise StopScriptError

    with pytest.raises(StopScriptError):
        job(progress).run("crossing.mp4", file_content(crossing))


REJECTED = {
    "empty": (b"", "got an empty file"),
    "text": (b"hello, hello, hello, hello", "got another file type"),
    "play list": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "got another file type"),
    "concat": (b"ffconcat version 1.0\nfile /etc/hostname\n", "got another file type"),
    "web page": (b"<html><script>alert(1)</script></html>", "got another file type"),
    "head only": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "it cannot be opened"),
    "noise": (b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20, "it cannot be opened"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_files_that_are_not_videos_are_rejected(kind):
    content, reason = REJECTED[kind]
    with pytest.raises(FerError, match=reason) as error:
        job().run("../../etc/<b>clip.mp4", io.BytesIO(content))
    assert str(error.value).startswith("<b>clip.mp4: ")
    assert tempfile.gettempdir() not in str(error.value)


def test_a_truncated_video_without_index_is_rejected(crossing):
    content = crossing.read_bytes()
    with pytest.raises(FerError, match=r"^clip\.mp4: .*truncated"):
        job().run("clip.mp4", io.BytesIO(content[: len(content) // 2]))


def test_a_truncated_video_is_analysed_up_to_its_end(crossing):
    # The writer puts the index at the start, so that a truncated file can be opened.
    complete = job().run("clip.mp4", file_content(crossing)).video
    analysis = job().run("clip.mp4", io.BytesIO(complete[: len(complete) * 3 // 4]))
    assert 0 < analysis.summary.frames < 20
    assert analysis.warning.startswith("clip.mp4: expected about 0.8 s")
    assert len(analysis.jsonl.splitlines()) > 0


def test_a_long_video_is_rejected_before_the_analysis(tmp_path):
    frames = int(MAX_VIDEO_SECONDS) + 10
    path = write_video(tmp_path / "long.mp4", [render_frame(0)] * frames, rate=1.0)
    progress = []
    with pytest.raises(FerError, match=r"^long\.mp4: .* at most 120 seconds .* got 130"):
        job(lambda done, total: progress.append(done)).run("long.mp4", file_content(path))
    assert progress == []


def test_a_video_longer_than_declared_is_analysed_up_to_the_limit(crossing, monkeypatch):
    monkeypatch.setattr(video, "_MAX_SECONDS", 0.41)
    monkeypatch.setattr(video, "_check_length", lambda _: None)
    analysis = job().run("crossing.mp4", file_content(crossing))
    assert analysis.summary.frames == 11
    assert analysis.warning.startswith("crossing.mp4: expected the length that the file header declares")


def test_huge_frames_are_rejected(monkeypatch, crossing):
    monkeypatch.setattr(video, "MAX_VIDEO_PIXELS", 160 * 120 - 1)
    with pytest.raises(FerError, match=r"got 160 x 120"):
        job().run("crossing.mp4", file_content(crossing))


def test_a_file_without_video_stream_is_rejected(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(FerError, match="without a video stream"):
        job().run("sound.mp4", file_content(path))


def test_csv_and_jsonl_have_the_same_labels(crossing):
    analysis = job().run("crossing.mp4", file_content(crossing))
    rows = list(csv.DictReader(io.StringIO(analysis.csv.decode())))
    parsed = [json.loads(line) for line in analysis.jsonl.splitlines()]
    assert [row["label"] for row in rows] == [row["label"] for row in parsed]
