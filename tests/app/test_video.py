"""The analysis of an uploaded video, and files that are rejected."""

import io
import tempfile
from contextlib import nullcontext

import av
import numpy as np
import pytest
from video_files import SquarePredictor, render_frame, write_video

from fer.app import video, video_file
from fer.app.settings import MAX_VIDEO_SECONDS
from fer.app.video import Look, VideoJob
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
    return path.read_bytes()


def decoded(content):
    """Return the images of a video, ``(T, H, W, 3)``."""
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    return write_video(
        tmp_path_factory.mktemp("videos") / "crossing.mp4", [render_frame(index) for index in range(20)]
    )


@pytest.mark.parametrize("smooth", [0.0, 0.5, 2.0])
def test_rows_equal_those_of_fer_predict(crossing, tmp_path, smooth):
    progress = []
    # The settings of the analysis do not matter: those of the table are applied to stored probabilities.
    analysis = job(lambda done, total: progress.append((done, total))).run(
        "crossing.mp4", file_content(crossing)
    )
    options = {"smooth": smooth, "show": False}
    run_video(crossing, SquarePredictor(abstain_below=0.85), json=tmp_path / "rows.jsonl", **options)
    assert analysis.frames.to_jsonl(smooth, 0.85) == (tmp_path / "rows.jsonl").read_text()
    run_video(crossing, SquarePredictor(abstain_below=0.85), csv=tmp_path / "rows.csv", **options)
    assert analysis.frames.to_csv(smooth, 0.85) == (tmp_path / "rows.csv").read_text()
    assert progress == [(done, 20) for done in range(1, 21)]
    assert analysis.warning is None
    with av.open(io.BytesIO(analysis.video)) as copy:
        assert len(list(copy.decode(video=0))) == 20


def test_another_look_needs_neither_detection_nor_the_model(crossing):
    predictor = SquarePredictor(abstain_below=0.5)
    content = file_content(crossing)
    first = VideoJob(predictor, nullcontext, lambda *_: None, Look(0.5, 0.5)).run("a.mp4", content)
    assert predictor.calls == 20
    look = Look(0.0, 0.95, points=True, bars=False)
    second = VideoJob(predictor, nullcontext, lambda *_: None, look).run("a.mp4", content, first)
    assert predictor.calls == 20
    assert second.frames is first.frames
    assert second.look == look
    # Its copy is that of an analysis with these settings from the start.
    direct = VideoJob(predictor, nullcontext, lambda *_: None, look).run("a.mp4", content)
    copies = [decoded(analysis.video) for analysis in (second, direct, first)]
    assert copies[0].shape == copies[1].shape == (20, 120, 160, 3)
    assert np.abs(copies[0] - copies[1]).mean() < 0.5
    assert np.abs(copies[0] - copies[2]).mean() > 2


def test_a_video_that_browsers_play_is_shown_as_it_is(crossing):
    analysis = job().run("a.mp4", file_content(crossing))
    # MPEG-4 Part 2 is converted.
    with av.open(io.BytesIO(analysis.original)) as copy:
        assert copy.streams.video[0].codec_context.name == "h264"
        assert len(list(copy.decode(video=0))) == 20
    again = job().run("b.mp4", analysis.original)
    assert again.original == analysis.original


def test_more_faces_than_the_limit_are_told(crossing, monkeypatch):
    assert job().run("crossing.mp4", file_content(crossing)).warning is None
    monkeypatch.setattr(video, "MAX_FACES_PER_FRAME", 1)
    analysis = job().run("crossing.mp4", file_content(crossing))
    assert analysis.warning == (
        "Only the 1 largest face of a frame was analysed; a frame has up to 2. fer-predict has no such limit."
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
        job().run("../../etc/<b>clip.mp4", content)
    assert str(error.value).startswith("<b>clip.mp4: ")
    assert tempfile.gettempdir() not in str(error.value)


def test_a_truncated_video_without_index_is_rejected(crossing):
    content = crossing.read_bytes()
    with pytest.raises(FerError, match=r"^clip\.mp4: .*truncated"):
        job().run("clip.mp4", content[: len(content) // 2])


def test_a_truncated_video_is_analysed_up_to_its_end(crossing):
    # The writer puts the index at the start, so that a truncated file can be opened.
    complete = job().run("clip.mp4", file_content(crossing)).video
    analysis = job().run("clip.mp4", complete[: len(complete) * 3 // 4])
    assert 0 < len(analysis.frames) < 20
    assert analysis.warning.startswith("clip.mp4: expected about 0.8 s")
    assert len(analysis.frames.to_jsonl(0.5, None).splitlines()) > 0


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
    assert len(analysis.frames) == 11
    assert analysis.warning.startswith("crossing.mp4: expected the length that the file header declares")


def test_huge_frames_are_rejected(monkeypatch, crossing):
    monkeypatch.setattr(video_file, "MAX_VIDEO_PIXELS", 160 * 120 - 1)
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
