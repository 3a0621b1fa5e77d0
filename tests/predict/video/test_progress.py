"""Terminal output of videos: progress line, current faces, summary."""

import io

import pytest
from video_files import SquarePredictor, render_frame

from fer.predict.video import progress as progress_module
from fer.predict.video.progress import (
    LiveFaces,
    Progress,
    face_line,
    format_duration,
    progress_line,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def now(monkeypatch):
    """A clock that tests can set."""
    clock = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    return clock


def tracked_faces():
    image, predictor = render_frame(0), SquarePredictor()
    return list(enumerate(predictor.classify(image, predictor.detect(image)), 1))


def test_progress_has_bar_speed_and_remaining_time():
    line = progress_line("clip.mp4", 150, 300, 2.5)
    assert line == f"clip.mp4 [{'#' * 12}{'-' * 12}]  50 %  150/300 frames  60.0 frames/s  0:02 left"


def test_progress_of_a_video_of_unknown_length():
    assert progress_line("clip.mp4", 150, None, 2.5) == "clip.mp4  150 frames  60.0 frames/s"


def test_progress_of_a_video_longer_than_its_header_says():
    assert "100 %  320/300 frames" in progress_line("clip.mp4", 320, 300, 2.5)
    assert "0:00 left" in progress_line("clip.mp4", 320, 300, 2.5)


def test_progress_of_images():
    line = progress_line("", 500, 1000, 5.0, "images")
    assert line == f"[{'#' * 12}{'-' * 12}]  50 %  500/1,000 images  100.0 images/s  0:05 left"


def test_progress_is_redrawn_after_clear_and_hidden_for_one_image(now):
    several, one = Terminal(), Terminal()
    for stream, total in ((several, 4), (one, 1)):
        progress = Progress("", total, "images", stream)
        progress.update(1)
        progress.clear()
        progress.update(2)
    assert several.getvalue().count("images/s") == 2
    assert one.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3605, "1:00:05")])
def test_format_duration(seconds, text):
    assert format_duration(seconds) == text


def test_progress_stays_on_one_line_and_is_cleared(now):
    terminal = Terminal()
    progress = Progress("clip.mp4", 300, stream=terminal)
    for done in range(100):
        now[0] += 0.02
        progress.update(done)
    assert 15 <= terminal.getvalue().count("\r") <= 21
    assert "\n" not in terminal.getvalue()
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_no_progress_in_a_log(now):
    log = io.StringIO()
    progress = Progress("clip.mp4", 300, stream=log)
    now[0] += 5
    progress.update(10)
    progress.clear()
    assert log.getvalue() == ""


def test_face_line():
    (_, happy), (_, sad) = tracked_faces()
    assert face_line(1, happy) == "face 1  happy 90 %, then sad 10 %"
    assert face_line(2, sad) == "face 2  sad 80 %, then happy 20 %"


def test_faces_stay_in_place_in_a_terminal(now):
    terminal = Terminal()
    faces = LiveFaces(terminal)
    for predictions in (tracked_faces(), [], tracked_faces()):
        now[0] += 1
        faces.show(predictions)
    first, second, third = terminal.getvalue().split("\x1b[J")
    assert first.count("\n") == 3
    assert first.endswith("\x1b[3A\r")
    assert second.startswith("no face\n")
    assert second.endswith("\x1b[2A\r")
    assert "frames/s" in third


def test_faces_are_written_once_a_second_to_a_pipe(now):
    pipe = io.StringIO()
    faces = LiveFaces(pipe)
    for _ in range(100):
        now[0] += 0.05
        faces.show(tracked_faces())
    assert "\x1b" not in pipe.getvalue()
    assert 4 <= pipe.getvalue().count("face 1") <= 5
