import io
from collections import Counter

import pytest
from films import SquareFinder, scene

from fer.video import screen
from fer.video.screen import Faces, Progress, clock, face_line, progress_line
from fer.video.summary import Summary


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    clock = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: clock[0])
    return clock


def seen():
    picture, finder = scene(0), SquareFinder()
    return list(enumerate(finder.classify(picture, finder.find(picture)), 1))


def test_progress_says_how_far_how_fast_and_how_long():
    line = progress_line("clip.mp4", 150, 300, 2.5)
    assert line == f"clip.mp4 [{'#' * 12}{'-' * 12}]  50 %  150/300 frames  60.0 frames/s  0:02 left"


def test_progress_of_a_film_that_does_not_say_its_length():
    assert progress_line("clip.mp4", 150, None, 2.5) == "clip.mp4  150 frames  60.0 frames/s"


def test_progress_when_a_film_is_longer_than_it_says():
    assert "100 %  320/300 frames" in progress_line("clip.mp4", 320, 300, 2.5)
    assert "0:00 left" in progress_line("clip.mp4", 320, 300, 2.5)


def test_progress_of_pictures():
    line = progress_line("", 500, 1000, 5.0, "pictures")
    assert line == f"[{'#' * 12}{'-' * 12}]  50 %  500/1,000 pictures  100.0 pictures/s  0:05 left"


def test_a_line_between_is_no_reason_to_wait_and_one_picture_needs_no_progress(now):
    several, one = Terminal(), Terminal()
    for stream, total in ((several, 4), (one, 1)):
        progress = Progress("", total, "pictures", stream)
        progress.update(1)
        progress.clear()
        progress.update(2)
    assert several.getvalue().count("pictures/s") == 2
    assert one.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3605, "1:00:05")])
def test_a_length_of_time(seconds, text):
    assert clock(seconds) == text


def test_progress_stays_on_its_line_and_goes_away(now):
    terminal = Terminal()
    progress = Progress("clip.mp4", 300, stream=terminal)
    for done in range(100):
        now[0] += 0.02
        progress.update(done)
    assert 15 <= terminal.getvalue().count("\r") <= 21
    assert "\n" not in terminal.getvalue()
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_leaves_a_log_alone(now):
    log = io.StringIO()
    progress = Progress("clip.mp4", 300, stream=log)
    now[0] += 5
    progress.update(10)
    progress.clear()
    assert log.getvalue() == ""


def test_a_face_in_words():
    (_, happy), (_, sad) = seen()
    assert face_line(1, happy) == "face 1  happy 90 %, then sad 10 %"
    assert face_line(2, sad) == "face 2  sad 80 %, then happy 20 %"


def test_faces_stay_in_place_in_a_terminal(now):
    terminal = Terminal()
    faces = Faces(terminal)
    for answers in (seen(), [], seen()):
        now[0] += 1
        faces.show(answers)
    first, second, third = terminal.getvalue().split("\x1b[J")
    assert first.count("\n") == 3
    assert first.endswith("\x1b[3A\r")
    assert second.startswith("no face\n")
    assert second.endswith("\x1b[2A\r")
    assert "frames/s" in third


def test_faces_are_written_once_a_second_to_a_pipe(now):
    pipe = io.StringIO()
    faces = Faces(pipe)
    for _ in range(100):
        now[0] += 0.05
        faces.show(seen())
    assert "\x1b" not in pipe.getvalue()
    assert 4 <= pipe.getvalue().count("face 1") <= 5


def test_the_summary_names_the_faces_seen_longest():
    summary = Summary("clip.mp4", elapsed=2.0, dropped=1)
    for index in range(8):
        summary.faces[index + 1] = Counter(happy=3 * (index + 1), sad=index + 1)
    summary.frames = 100
    text = str(summary)
    first = "clip.mp4: 100 frames in 2.0 s (50.0 frames/s), 1 more dropped to keep up, 8 faces"
    assert text.splitlines()[:2] == [first, "  face 8: happy 75 %, sad 25 % of 32 frames"]
    assert text.endswith("and 3 seen more shortly")
