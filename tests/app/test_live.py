import csv
import io
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from films import SquareFinder, scene

from fer.annotate import draw
from fer.app import serving
from fer.app.live import LiveSession
from fer.app.recording import Recording
from fer.video import Follower


def session(finder=None, **options):
    live = LiveSession(finder or SquareFinder(), nullcontext, **options)
    live.mirror = False
    return live


def test_frames_are_judged_followed_and_drawn_in():
    live, finder, follower = session(), SquareFinder(), Follower(0.5)
    for index in range(5):
        seconds = 100 + index / 10
        shown = live.process(scene(index), seconds)
        answers = follower.update(finder.classify(scene(index), finder.find(scene(index))), seconds)
        names = [f"#{number}" for number, _ in answers]
        np.testing.assert_array_equal(
            shown, draw(scene(index), [answer for _, answer in answers], False, names, True)
        )
    now = live.snapshot()
    assert [(number, answer.label) for number, answer in now.faces] == [(1, "happy"), (2, "sad")]
    assert (now.frames, now.dropped) == (5, 0)
    assert now.rate == pytest.approx(10)


def test_what_is_shown_is_a_copy():
    frame = scene(0)
    session().process(frame, 0.0)
    np.testing.assert_array_equal(frame, scene(0))


def test_a_mirror_turns_the_picture_before_it_is_judged():
    live = session()
    live.mirror, live.bars = True, False
    live.process(scene(0, sad=False), 0.0)
    ((_, answer),) = live.snapshot().faces
    assert answer.face.box[0] == 160 - 10 - 24  # films.scene: 10 from the left, 24 wide, of 160


class Slow(SquareFinder):
    """Takes until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.began, self.go_on = threading.Event(), threading.Event()

    def find(self, picture):
        self.began.set()
        assert self.go_on.wait(10)
        return super().find(picture)


def test_a_frame_that_comes_while_one_is_looked_at_is_dropped_not_queued():
    finder = Slow()
    live = session(finder)
    thread = threading.Thread(target=live.process, args=(scene(0), 0.0))
    thread.start()
    assert finder.began.wait(10)
    np.testing.assert_array_equal(live.process(scene(1), 0.1), scene(1))  # at once, nothing known yet
    assert live.snapshot().frames == 0  # nor does looking on have to wait
    finder.go_on.set()
    thread.join(10)
    now = live.snapshot()
    assert (now.frames, now.dropped, now.seconds) == (1, 1, 0.0)


def test_many_threads_leave_consistent_figures():
    live = session()
    live.start_recording()
    clock = iter(range(10_000))

    def work():
        for _ in range(50):
            live.process(scene(3), next(clock) / 10)
            live.shares(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    now = live.snapshot()
    assert now.frames + now.dropped == 200
    assert now.recorded == 2 * now.frames


def test_the_processor_is_used_in_turn_only():
    inside = []

    @contextmanager
    def turn():
        inside.append(True)
        yield
        inside.pop()

    class Watched(SquareFinder):
        def find(self, picture):
            assert inside == [True]
            return super().find(picture)

    LiveSession(Watched(), turn).process(scene(0), 0.0)
    assert inside == []


def test_a_frame_without_a_free_processor_is_dropped(monkeypatch):
    """A camera's thread that waited would lose its stream, and hold up all others when it is stopped."""
    monkeypatch.setattr(serving, "_TURNS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(serving, "_PROMPT", 0.01)
    live = LiveSession(SquareFinder(), serving.prompt_turn)
    live.mirror = False
    with serving.turn():
        np.testing.assert_array_equal(live.process(scene(1), 0.0), scene(1))
    assert (live.snapshot().frames, live.snapshot().dropped) == (0, 1)
    live.process(scene(1), 0.1)
    assert live.snapshot().frames == 1


def test_the_last_half_minute_is_told_from_now_backwards():
    live = session(smooth=0.0)
    for index in range(400):
        live.process(scene(0, happy=index >= 350), 1000 + index / 10)
    times, probs = live.shares(2)  # the happy one, who came 5 s ago
    assert -30 <= times.min() < times.max() <= 0
    assert np.isnan(probs[times < -5.5]).all()
    np.testing.assert_allclose(probs[times > -4.5], [[0.9, 0.1]] * (times > -4.5).sum())


def test_while_the_camera_was_off_nothing_is_known_of_a_face():
    live = session(smooth=0.0)
    for seconds in (100.0, 100.5, 101.0, 121.0, 121.5):
        live.process(scene(0, sad=False), seconds)
    times, probs = live.shares(1)
    off = (times > 101.6 - 121.5) & (times < 120.9 - 121.5)
    assert off.sum() > 30
    assert np.isnan(probs[off]).all()
    assert not np.isnan(probs[-1]).any()


def test_recording_starts_and_stops_when_told():
    live = session()
    live.process(scene(0), 1.0)
    assert live.csv() == ""
    live.start_recording()
    for index in range(3):
        live.process(scene(index), 2.0 + index)
    live.stop_recording()
    live.process(scene(3), 9.0)
    rows = list(csv.DictReader(io.StringIO(live.csv())))
    assert [(row["frame"], row["seconds"], row["face"], row["label"]) for row in rows] == [
        (str(frame), str(float(frame)), str(face), label)
        for frame in range(3)
        for face, label in ((1, "happy"), (2, "sad"))
    ]
    assert all(float(row["happy"]) + float(row["sad"]) == pytest.approx(1) for row in rows)
    live.start_recording()
    assert live.snapshot().recorded == 0  # the new one replaces the old one


def test_a_recording_is_bounded():
    recording = Recording(("happy", "sad"), max_rows=3)
    finder = SquareFinder()
    seen = list(enumerate(finder.classify(scene(0), finder.find(scene(0))), 1))
    for index in range(5):
        recording.add(seen, float(index))
    assert recording.full
    assert recording.rows == 3
    assert len(recording.to_csv().splitlines()) == 1 + 3
    assert recording.to_csv() == recording.to_csv()
