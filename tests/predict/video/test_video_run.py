"""`run_video` on videos of two moving squares."""

import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from video_files import (
    SIDE,
    FakeCamera,
    SquarePredictor,
    read_timeline,
    read_video,
    render_frame,
    write_video,
)

from fer.core.errors import FerError
from fer.predict.video import run, writer
from fer.predict.video.reader import Frame, VideoFile
from fer.predict.video.run import run_video

FRAMES = 36


@pytest.fixture
def video(tmp_path):
    """Two squares cross; the upper one is hidden in the frames 15 to 18."""
    images = [render_frame(index, happy=not 15 <= index <= 18) for index in range(FRAMES)]
    return write_video(tmp_path / "clip.mp4", images)


class InterruptedPredictor(SquarePredictor):
    """Ctrl-C is pressed at the eleventh frame."""

    def detect(self, image):
        if self.calls == 10:
            raise KeyboardInterrupt
        return super().detect(image)


class NoFacePredictor(SquarePredictor):
    """Detects no face."""

    def detect(self, image):
        return []


@pytest.mark.parametrize("threads", [1, 3])
def test_each_face_keeps_its_number_and_emotion(video, tmp_path, threads):
    summary = run_video(video, SquarePredictor(threads), json=tmp_path / "out.jsonl", show=False)
    rows = read_timeline(tmp_path / "out.jsonl")
    assert Counter((row.face, row.label) for row in rows) == {(1, "happy"): FRAMES - 4, (2, "sad"): FRAMES}
    assert [row.frame for row in rows] == sorted(row.frame for row in rows)
    for row in rows:
        expected = 10 + 3 * row.frame if row.face == 1 else 120 - 3 * row.frame
        assert row.box[0] == pytest.approx(expected, abs=2)
        assert row.box[2] == pytest.approx(SIDE, abs=3)
        assert row.seconds == pytest.approx(row.frame / 25, abs=1e-3)
    assert (summary.frames, summary.dropped, summary.warning) == (FRAMES, 0, None)
    expected_seconds = {1: {"happy": (FRAMES - 4) / 25}, 2: {"sad": FRAMES / 25}}
    assert summary.faces == {number: pytest.approx(face) for number, face in expected_seconds.items()}


def test_the_annotated_video_is_the_video_with_drawings(video, tmp_path):
    run_video(video, SquarePredictor(), annotate=tmp_path / "made" / "out.mp4", show=False)
    before, after = read_video(video), read_video(tmp_path / "made" / "out.mp4")
    assert (len(after[0]), after[1]) == (FRAMES, before[1])
    for original, annotated in zip(before[0], after[0], strict=True):
        assert original.shape == annotated.shape
        changed = np.abs(original.astype(int) - annotated).max(2) > 60
        assert 0.01 < changed.mean() < 0.5


def test_smoothing_uses_the_time_of_the_video(tmp_path):
    """A face is happy (0.9) for a second, then sad (0.2): at that moment 0.9 - 0.7 (1 - exp(-0.04 / 0.5))."""
    images = [render_frame(0, sad=False)] * 25
    images += [np.where(images[0] > 200, np.uint8(150), images[0])] * 25
    video = write_video(tmp_path / "a.mp4", images, rate=25)
    for smooth, expected in ((0.5, 0.9 - 0.7 * (1 - np.exp(-0.04 / 0.5))), (0, 0.2)):
        run_video(video, SquarePredictor(), csv=tmp_path / "a.csv", smooth=smooth, show=False)
        rows = read_timeline(tmp_path / "a.csv")
        assert rows[24].probabilities["happy"] == pytest.approx(0.9)
        assert rows[25].probabilities["happy"] == pytest.approx(expected, abs=1e-4)
        assert all(sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5) for row in rows)


def test_a_smoothed_prediction_is_uncertain_by_the_card(video, tmp_path):
    run_video(video, SquarePredictor(abstain_below=0.85), json=tmp_path / "a.jsonl", show=False)
    assert {(row.face, row.uncertain) for row in read_timeline(tmp_path / "a.jsonl")} == {
        (1, False),
        (2, True),
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_keeps_what_was_done(video, tmp_path, capsys, threads):
    outputs = {"annotate": tmp_path / "out.mp4", "csv": tmp_path / "out.csv"}
    with pytest.raises(KeyboardInterrupt):
        run_video(video, InterruptedPredictor(threads), **outputs)
    frames = {row.frame for row in read_timeline(tmp_path / "out.csv")}
    assert frames == set(range(len(frames)))
    assert 8 <= len(frames) <= 10
    assert not (tmp_path / "out.mp4").exists()
    assert len(read_video(tmp_path / "out.part.mp4")[0]) == len(frames)
    captured = capsys.readouterr()
    assert f"out.part.mp4: the {len(frames)} frames written so far are kept here" in captured.err
    assert f"clip.mp4: {len(frames)} frames" in captured.out


@pytest.mark.parametrize("pyav", [True, False])
def test_the_copy_of_a_video_with_variable_frame_rate_has_the_same_timing(tmp_path, monkeypatch, pyav):
    """Ten frames 0.04 s apart, then ten 0.2 s apart; each is brighter than the previous one."""
    times = [0.04 * i for i in range(10)] + [0.4 + 0.2 * i for i in range(10)]
    video = write_video(tmp_path / "a.mp4", [np.full((48, 64, 3), 40 + 10 * i, np.uint8) for i in range(20)])
    monkeypatch.setattr(VideoFile, "_clock", lambda video: times[min(video.frames_read, 19)])
    if not pyav:
        monkeypatch.setattr(writer, "find_spec", lambda name: None)
    run_video(video, NoFacePredictor(), annotate=tmp_path / "out.mp4", show=False)
    if pyav:
        av = pytest.importorskip("av", reason="needs PyAV (extra app)")
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=1e-3)
        return
    (copy, rate), (images, _) = read_video(tmp_path / "out.mp4"), read_video(video)
    for seconds, number in ((0.2, 5), (0.36, 9), (0.5, 10), (0.7, 11), (2.1, 18), (2.2, 19)):
        shown = copy[int(seconds * rate + 1e-6)].mean()
        assert shown == pytest.approx(images[number].mean(), abs=4)
    assert len(copy) == round(2.2 * rate) + 1


def test_without_pyav_a_line_says_that_browsers_do_not_play_the_copy(video, tmp_path, monkeypatch, capsys):
    pytest.importorskip("av", reason="needs PyAV (extra app)")
    copy = tmp_path / "out.mp4"
    run_video(video, SquarePredictor(), annotate=copy)
    assert f"annotated  {copy}\n" in capsys.readouterr().out
    monkeypatch.setattr(writer, "find_spec", lambda name: None)
    run_video(video, SquarePredictor(), annotate=copy)
    assert f"annotated  {copy} (MPEG-4 Part 2 without sound, which browsers" in capsys.readouterr().out


def test_a_video_file_named_by_a_number(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video.rename("0")
    for named in (Path("0"), "./0"):
        assert run_video(named, SquarePredictor(), show=False).frames == FRAMES


def test_a_video_without_faces_gives_a_copy_and_an_empty_timeline(tmp_path, capsys):
    video = write_video(tmp_path / "a.mp4", [render_frame(0, False, False)] * 5)
    outputs = {"annotate": tmp_path / "out.mp4", "json": tmp_path / "out.jsonl"}
    assert run_video(video, SquarePredictor(), **outputs).faces == {}
    assert len(read_video(tmp_path / "out.mp4")[0]) == 5
    assert read_timeline(tmp_path / "out.jsonl") == []
    assert "no face found" in capsys.readouterr().out


def test_a_truncated_video_is_processed_with_a_warning(tmp_path, capsys):
    video = write_video(tmp_path / "a.avi", [render_frame(i % 30) for i in range(60)], codec="MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    summary = run_video(video, SquarePredictor(), annotate=tmp_path / "out.mp4")
    assert 20 < summary.frames < 40
    assert len(read_video(tmp_path / "out.mp4")[0]) == summary.frames
    assert "a.avi: expected about" in capsys.readouterr().err


def test_ctrl_c_ends_a_webcam_normally(monkeypatch, tmp_path, capsys):
    """The recording is complete: Ctrl-C is the normal way to end a webcam."""
    camera, real = FakeCamera(10**6), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda at, *rest: real(at, *rest) if rest else camera)
    monkeypatch.setattr(camera, "read", lambda read=camera.read: (time.sleep(0.002), read())[1])
    summary = run_video("0", InterruptedPredictor(), annotate=tmp_path / "out.mp4")
    assert summary.frames == 10
    assert camera.released
    assert (tmp_path / "out.mp4").exists()
    assert "webcam 0: 10 frames" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["annotate", "csv", "json"])
def test_the_input_video_is_never_overwritten(video, option):
    content = video.read_bytes()
    named = video if option == "annotate" else video.rename(video.with_suffix(".csv"))
    with pytest.raises(FerError, match="got the input video"):
        run_video(named, SquarePredictor(), show=False, **{option: named.parent / "." / named.name})
    assert named.read_bytes() == content


def test_a_partial_video_as_input_is_not_overwritten(video):
    part = video.rename(video.with_name(f"a.part{video.suffix}"))
    content = part.read_bytes()
    with pytest.raises(FerError, match="got the input video"):
        run_video(part, SquarePredictor(), show=False, annotate=video.with_name(f"a{video.suffix}"))
    assert part.read_bytes() == content


def test_a_folder_as_output_is_an_error(video, tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(FerError, match="expected a file to write, got a folder"):
        run_video(video, SquarePredictor(), show=False, annotate=tmp_path / "out.mp4")


def test_a_missing_input_keeps_existing_outputs(tmp_path):
    (tmp_path / "out.csv").write_text("existing")
    with pytest.raises(FerError, match="got a path that does not exist"):
        run_video(tmp_path / "none.mp4", SquarePredictor(), csv=tmp_path / "out.csv", show=False)
    assert (tmp_path / "out.csv").read_text() == "existing"


@pytest.mark.parametrize(("count", "expected"), [(8, True), (9, False)])
def test_bars_are_not_drawn_in_a_crowd(monkeypatch, count, expected):
    drawn = []
    monkeypatch.setattr(run, "draw", lambda image, faces, points, names, bars: drawn.append(bars))
    faces = [(number, None) for number in range(count)]
    write = run.to_video(lambda image, seconds: None, points=False, bars=True)
    write(Frame(0, 0.0, render_frame(0)), faces)
    assert drawn == [expected]
