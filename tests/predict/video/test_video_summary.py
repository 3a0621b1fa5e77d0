"""The summary of a video with very many faces."""

from types import SimpleNamespace

import numpy as np

from fer.predict.video.progress import _MAX_FACES_IN_MEMORY, Summary
from fer.predict.video.reader import Frame


def add_frame(summary, frame, *numbers):
    faces = [(number, SimpleNamespace(label="happy")) for number in numbers]
    summary.add(Frame(frame, frame / 25, np.zeros((1, 1, 3), np.uint8)), faces)


def test_briefly_seen_faces_are_counted_and_forgotten():
    summary = Summary("street.mp4")
    for frame in range(5 * _MAX_FACES_IN_MEMORY):
        # One face stays, and there is a new one in each frame.
        add_frame(summary, frame, 0, frame + 1)
    assert len(summary.faces) <= 2 * _MAX_FACES_IN_MEMORY
    assert summary.faces[0].total() == 5 * _MAX_FACES_IN_MEMORY
    assert f"{5 * _MAX_FACES_IN_MEMORY + 1:,} faces" in str(summary)
    assert f"and {5 * _MAX_FACES_IN_MEMORY - 4:,} more, seen for a shorter time" in str(summary)
