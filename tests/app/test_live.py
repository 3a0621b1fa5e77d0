"""Live sessions: dropped frames, tracking, threads, history, recordings."""

import csv
import io
import threading
import time
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from video_files import SquarePredictor, render_frame

from fer.app import resources
from fer.app.live import LiveSession
from fer.app.recording import Recording
from fer.predict.annotate import draw
from fer.predict.video.tracking import FaceTracker


def session(predictor=None, **options):
    live = LiveSession(predictor or SquarePredictor(), nullcontext, **options)
    live.mirror = False
    return live


def test_frames_are_classified_tracked_and_annotated():
    live, predictor, tracker = session(), SquarePredictor(), FaceTracker(0.5)
    for index in range(5):
        seconds = 100 + index / 10
        shown = live.process(render_frame(index), seconds)
        tracked = tracker.update(
            predictor.classify(render_frame(index), predictor.detect(render_frame(index))), seconds
        )
        names = [f"#{number}" for number, _ in tracked]
        np.testing.assert_array_equal(
            shown, draw(render_frame(index), [prediction for _, prediction in tracked], False, names, True)
        )
    state = live.state()
    assert [(number, prediction.label) for number, prediction in state.faces] == [(1, "happy"), (2, "sad")]
    assert (state.processed, state.dropped) == (5, 0)
    assert state.rate == pytest.approx(10)


def test_the_annotated_frame_is_a_copy():
    frame = render_frame(0)
    session().process(frame, 0.0)
    np.testing.assert_array_equal(frame, render_frame(0))


def test_frames_are_mirrored_before_prediction():
    live = session()
    live.mirror, live.bars = True, False
    live.process(render_frame(0, sad=False), 0.0)
    ((_, prediction),) = live.state().faces
    # In `render_frame`: 10 pixels from the left, 24 wide, in a frame of 160.
    assert prediction.face.box[0] == 160 - 10 - 24


class BlockingPredictor(SquarePredictor):
    """Blocks in `detect` until it is released."""

    def __init__(self):
        super().__init__()
        self.started, self.release = threading.Event(), threading.Event()

    def detect(self, image):
        self.started.set()
        assert self.release.wait(10)
        return super().detect(image)


def test_a_frame_that_arrives_during_prediction_is_dropped():
    predictor = BlockingPredictor()
    live = session(predictor)
    thread = threading.Thread(target=live.process, args=(render_frame(0), 0.0))
    thread.start()
    assert predictor.started.wait(10)
    # The second frame is returned at once, without boxes, as no face is known yet.
    np.testing.assert_array_equal(live.process(render_frame(1), 0.1), render_frame(1))
    # Reading the state does not wait either.
    assert live.state().processed == 0
    predictor.release.set()
    thread.join(10)
    state = live.state()
    assert (state.processed, state.dropped, state.seconds) == (1, 1, 0.0)


def test_counts_are_consistent_with_many_threads():
    live = session()
    live.start_recording()
    clock = iter(range(10_000))

    def work():
        for _ in range(50):
            live.process(render_frame(3), next(clock) / 10)
            live.recent_probabilities(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    state = live.state()
    assert state.processed + state.dropped == 200
    assert state.recorded_rows == 2 * state.processed


def test_prediction_runs_within_a_compute_slot():
    active = []

    @contextmanager
    def compute_slot():
        active.append(True)
        yield
        active.pop()

    class CheckedPredictor(SquarePredictor):
        def detect(self, image):
            assert active == [True]
            return super().detect(image)

    LiveSession(CheckedPredictor(), compute_slot).process(render_frame(0), 0.0)
    assert active == []


def test_a_frame_without_a_free_compute_slot_is_dropped(monkeypatch):
    """A camera thread that waits would lose its stream, and block all others when it is stopped."""
    monkeypatch.setattr(resources, "_COMPUTE_SLOTS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(resources, "_FRAME_TIMEOUT", 0.01)
    live = LiveSession(SquarePredictor(), resources.try_compute_slot)
    live.mirror = False
    with resources.compute_slot():
        np.testing.assert_array_equal(live.process(render_frame(1), 0.0), render_frame(1))
    assert (live.state().processed, live.state().dropped) == (0, 1)
    live.process(render_frame(1), 0.1)
    assert live.state().processed == 1


def test_probabilities_cover_the_last_30_seconds():
    live = session(smooth=0.0)
    for index in range(400):
        live.process(render_frame(0, happy=index >= 350), 1000 + index / 10)
    # The happy face, visible since 5 s.
    times, probabilities = live.recent_probabilities(2)
    assert -30 <= times.min() < times.max() <= 0
    assert np.isnan(probabilities[times < -5.5]).all()
    np.testing.assert_allclose(probabilities[times > -4.5], [[0.9, 0.1]] * (times > -4.5).sum())


def test_probabilities_are_nan_while_the_camera_was_off():
    live = session(smooth=0.0)
    for seconds in (100.0, 100.5, 101.0, 121.0, 121.5):
        live.process(render_frame(0, sad=False), seconds)
    times, probabilities = live.recent_probabilities(1)
    off = (times > 101.6 - 121.5) & (times < 120.9 - 121.5)
    assert off.sum() > 30
    assert np.isnan(probabilities[off]).all()
    assert not np.isnan(probabilities[-1]).any()


def test_recording_starts_and_stops():
    live = session()
    live.process(render_frame(0), 1.0)
    assert live.to_csv() == ""
    live.start_recording()
    for index in range(3):
        live.process(render_frame(index), 2.0 + index)
    live.stop_recording()
    live.process(render_frame(3), 9.0)
    rows = list(csv.DictReader(io.StringIO(live.to_csv())))
    assert [(row["frame"], row["seconds"], row["face"], row["label"]) for row in rows] == [
        (str(frame), str(float(frame)), str(face), label)
        for frame in range(3)
        for face, label in ((1, "happy"), (2, "sad"))
    ]
    assert all(float(row["happy"]) + float(row["sad"]) == pytest.approx(1) for row in rows)
    live.start_recording()
    # The new recording replaces the old one.
    assert live.state().recorded_rows == 0


def test_a_recording_has_a_maximal_length():
    recording = Recording(("happy", "sad"), max_rows=3)
    predictor = SquarePredictor()
    faces = list(enumerate(predictor.classify(render_frame(0), predictor.detect(render_frame(0))), 1))
    for index in range(5):
        recording.add(faces, float(index))
    assert recording.full
    assert recording.rows == 3
    assert len(recording.to_csv().splitlines()) == 1 + 3
    assert recording.to_csv() == recording.to_csv()


def test_the_summary_counts_seconds_since_the_start_without_pauses():
    live = session()
    # A pause of 97 seconds, longer than the gap that counts.
    for index, seconds in enumerate((1.0, 1.5, 2.0, 2.5, 100.0, 100.5)):
        live.process(render_frame(index), seconds)
    summary = live.summary()
    assert summary.frames == 6
    # The frame before the pause counts a moment, the last frame as long as the one before.
    assert summary.faces[1] == pytest.approx({"happy": 2.54})
    assert summary.faces[2] == pytest.approx({"sad": 2.54})
    live.start()
    assert live.summary().frames == 0
    assert live.state().processed == 0
    live.process(render_frame(7), 200.0)
    assert live.summary().seconds == 0.0


def test_a_summary_is_a_copy():
    live = session()
    live.process(render_frame(0), 0.0)
    summary = live.summary()
    live.process(render_frame(1), 0.1)
    assert (summary.frames, live.summary().frames) == (1, 2)


class SlowPredictor(SquarePredictor):
    def detect(self, image):
        time.sleep(0.05)
        return super().detect(image)


def test_latency_is_measured_until_the_frame_is_annotated():
    live = session(SlowPredictor())
    assert live.state().latency == 0.0
    for index in range(3):
        live.process(render_frame(index), index / 10)
    assert live.state().latency >= 50


def test_the_shown_frame_is_saved_until_it_is_deleted():
    live = session()
    live.save_frame()
    assert live.state().saved is None
    shown = live.process(render_frame(0), 0.0)
    live.save_frame()
    live.process(render_frame(5), 0.1)
    saved = live.state().saved
    np.testing.assert_array_equal(saved.image, shown)
    assert [(number, prediction.label) for number, prediction in saved.faces] == [(1, "happy"), (2, "sad")]
    live.start()
    assert live.state().saved is not None
    live.delete_saved_frame()
    assert live.state().saved is None


def test_threshold_and_smoothing_change_while_the_camera_runs():
    predictor = SquarePredictor()
    live = session(predictor)
    live.configure(predictor, None, 0.0)
    live.process(render_frame(0), 0.0)
    confidences = [prediction.confidence for _, prediction in live.state().faces]
    assert not any(prediction.uncertain for _, prediction in live.state().faces)
    live.configure(predictor, max(confidences) + 0.001, 0.0)
    live.process(render_frame(1), 0.1)
    assert all(prediction.uncertain for _, prediction in live.state().faces)
    # The same faces, the same session.
    assert [number for number, _ in live.state().faces] == [1, 2]
    assert live.summary().frames == 2


def test_another_model_begins_a_new_summary_and_keeps_the_recorded_rows():
    live = session()
    live.start_recording()
    live.process(render_frame(0), 0.0)
    live.configure(SquarePredictor(), 0.5, 0.5)
    state = live.state()
    assert (state.processed, state.faces, state.recording, state.recorded_rows) == (0, (), False, 2)
    live.process(render_frame(1), 0.1)
    assert live.summary().frames == 1
