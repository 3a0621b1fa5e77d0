"""The overview of a video: summary, strips, and thumbnails of its faces."""

import numpy as np
import pytest
from video_files import SquarePredictor, render_frame

from fer.app import video_frames
from fer.app.video_frames import VideoFrames
from fer.app.video_overview import Segment, make_overview
from fer.faces.base import Face
from fer.predict.predictor import make_prediction
from fer.predict.video.reader import Frame

EMOTIONS = ("happy", "sad")
IMAGE = np.zeros((60, 80, 3), np.uint8)


def make(last_duration):
    frames = VideoFrames(EMOTIONS)
    frames.last_duration = last_duration
    return frames


def add(frames, seconds, happy, number=1, image=IMAGE, side=20.0):
    """Add a frame with one face that is happy with this probability; none if that is None."""
    predictions = []
    if happy is not None:
        face = Face((10.0, 10.0, side, side), 0.9)
        predictions = [make_prediction(face, EMOTIONS, np.array([happy, 1 - happy]), None)]
    frames.add(Frame(len(frames), seconds, image), predictions, [number] if predictions else [])


def test_a_strip_has_a_segment_for_each_time_with_the_same_emotion():
    frames = make(0.1)
    for index, happy in enumerate([0.9] * 10 + [0.6] * 5 + [None] * 5 + [0.1] * 10):
        add(frames, 0.1 * index, happy)
    overview = make_overview(frames, 0.0, 0.7)
    expected = [(0, 1.0, "happy", False), (1.0, 1.5, "happy", True), (2.0, 3.0, "sad", False)]
    for segment, (start, end, *state) in zip(overview.segments[1], expected, strict=True):
        assert segment[:2] == pytest.approx((start, end))
        assert segment[2:] == tuple(state)
    assert frames.seconds == pytest.approx(3.0)
    assert str(overview.summary).count("happy? (uncertain) 20 %") == 1


def test_frames_of_a_variable_rate_last_until_the_next():
    frames = make(0.5)
    for seconds, happy in ((0.0, 0.9), (0.5, 0.1), (9.0, 0.9)):
        add(frames, seconds, happy)
    overview = make_overview(frames, 0.0, None)
    segments = [Segment(round(part.start, 1), round(part.end, 1), *part[2:]) for part in overview.segments[1]]
    assert segments == [
        Segment(0.0, 0.5, "happy", False),
        Segment(0.5, 9.0, "sad", False),
        Segment(9.0, 9.5, "happy", False),
    ]
    assert overview.summary.faces == {1: {"happy": pytest.approx(1.0), "sad": pytest.approx(8.5)}}


def test_strips_and_charts_of_a_long_video_have_a_bounded_number_of_steps():
    frames = make(0.02)
    for index in range(3000):
        add(frames, 0.02 * index, 0.9 if index % 2 else 0.1)
    overview = make_overview(frames, 0.0, None)
    assert len(overview.segments[1]) <= 401
    times, probabilities = overview.history.probabilities(1)
    assert len(times) <= 241
    assert np.nanmin(probabilities.sum(1)) == pytest.approx(1)


def test_the_faces_seen_longest_come_first():
    frames = make(0.1)
    for index in range(9):
        add(frames, 0.1 * index, 0.9, number=1 if index < 3 else 2)
    assert make_overview(frames, 0.0, None).faces() == [2, 1]


def test_a_video_without_frames_or_faces():
    assert make_overview(make(0.1), 0.5, None).segments == {}
    frames = make(0.1)
    add(frames, 0.0, None)
    assert make_overview(frames, 0.5, None).faces() == []


def test_a_thumbnail_shows_the_face_after_it_has_appeared_or_where_it_is_larger():
    frames = make(0.1)
    for index, gray in enumerate(range(0, 250, 10)):
        # Becomes brighter for 2.5 s.
        add(frames, 0.1 * index, 0.9, image=np.full((60, 80, 3), gray, np.uint8))
    assert frames.thumbnail(1).shape == (96, 96, 3)
    assert frames.thumbnail(1).mean() == pytest.approx(90, abs=1)
    add(frames, 2.6, 0.9, image=np.full((60, 80, 3), 200, np.uint8), side=30.0)
    assert frames.thumbnail(1).mean() == 200
    assert frames.thumbnail(2) is None


def test_the_number_of_thumbnails_is_limited(monkeypatch):
    monkeypatch.setattr(video_frames, "_MAX_THUMBNAILS", 2)
    frames = make(0.1)
    for number in range(1, 5):
        add(frames, 0.1 * number, 0.9, number=number)
    assert [frames.thumbnail(number) is not None for number in range(1, 5)] == [True, True, False, False]


def test_smoothing_uses_the_faces_of_all_frames():
    frames, predictor = make(0.04), SquarePredictor()
    for index in range(10):
        image = render_frame(index)
        faces = predictor.classify(image, predictor.detect(image))
        frames.add(Frame(index, index / 25, image), faces, [1, 2])
    tracked = list(frames.track(0.5, 0.85))
    assert [number for number, _ in tracked[-1][1]] == [1, 2]
    assert [prediction.uncertain for _, prediction in tracked[-1][1]] == [False, True]
