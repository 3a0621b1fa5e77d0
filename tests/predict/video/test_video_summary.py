"""The summary of a video: seconds of each emotion, uncertain faces, very many faces."""

from types import SimpleNamespace

import numpy as np
import pytest

from fer.predict.video.reader import Frame
from fer.predict.video.summary import _MAX_FACES_IN_MEMORY, Summary, describe_durations


def add_frame(summary, index, seconds, faces):
    """Add a frame; ``faces`` are the number, label and uncertainty of each face."""
    predictions = [(number, SimpleNamespace(label=label, uncertain=doubt)) for number, label, doubt in faces]
    summary.add(Frame(index, seconds, np.zeros((1, 1, 3), np.uint8)), predictions)


def test_briefly_seen_faces_are_counted_and_forgotten():
    summary = Summary("street.mp4")
    for frame in range(5 * _MAX_FACES_IN_MEMORY):
        # One face stays, and there is a new one in each frame.
        add_frame(summary, frame, frame / 25, [(0, "happy", False), (frame + 1, "sad", False)])
    faces = summary.faces
    assert len(faces) <= 2 * _MAX_FACES_IN_MEMORY + 1
    assert faces[0]["happy"] == pytest.approx(5 * _MAX_FACES_IN_MEMORY / 25)
    assert f"{5 * _MAX_FACES_IN_MEMORY + 1:,} faces" in str(summary)
    assert f"and {5 * _MAX_FACES_IN_MEMORY - 4:,} more faces, not seen for longer" in str(summary)


def test_frames_count_as_long_as_they_are_shown():
    """26 frames in 9 s: 25 quick ones, then a long one."""
    summary = Summary("screen.mp4")
    for index in range(25):
        add_frame(summary, index, index * 0.04, [(1, "happy", False)])
    add_frame(summary, 25, 1.0, [(1, "sad", False)])
    add_frame(summary, 26, 9.0, [])
    assert summary.faces == {1: {"happy": pytest.approx(1.0), "sad": pytest.approx(8.0)}}
    assert "  face 1: sad 89 %, happy 11 % of 9.0 s" in str(summary)


def test_uncertain_predictions_are_not_stated_as_certain():
    summary = Summary("clip.mp4")
    for index in range(74):
        add_frame(summary, index, index / 25, [(1, "fear", True)])
    assert str(summary).splitlines()[1] == "  face 1: fear? (uncertain) 100 % of 3.0 s"


def test_a_single_frame():
    summary = Summary("clip.mp4")
    add_frame(summary, 0, 0.0, [(1, "sad", False)])
    assert str(summary).startswith("clip.mp4: 1 frame in 0.0 s (0.0 frames/s), 1 face\n  face 1: sad 100 %")
    assert Summary("empty.mp4").faces == {}


def test_the_faces_seen_longest_are_named():
    summary = Summary("clip.mp4", dropped=1)
    for index in range(101):
        shown = [(face, "happy" if index % 4 else "sad", False) for face in range(1, 9) if index < 12 * face]
        add_frame(summary, index, index / 10, shown)
    summary.elapsed = 2.0
    lines = str(summary).splitlines()
    assert lines[0] == "clip.mp4: 101 frames in 2.0 s (50.5 frames/s), 1 more dropped to keep up, 8 faces"
    assert lines[1] == "  face 8: happy 75 %, sad 25 % of 9.6 s"
    assert lines[-1] == "  and 3 more faces, not seen for longer"


def test_rare_emotions_are_not_listed():
    assert describe_durations({"sad": 99.5, "happy": 0.5}) == "sad 100 % of 100.0 s"
