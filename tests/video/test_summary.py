"""What is said of a film's faces, however many there were."""

from types import SimpleNamespace

import numpy as np

from fer.video.frames import Frame
from fer.video.summary import _KEPT, Summary


def seen(summary, frame, *numbers):
    faces = [(number, SimpleNamespace(label="happy")) for number in numbers]
    summary.add(Frame(frame, frame / 25, np.zeros((1, 1, 3), np.uint8)), faces)


def test_faces_that_passed_by_are_counted_and_not_held():
    summary = Summary("street.mp4")
    for frame in range(5 * _KEPT):
        seen(summary, frame, 0, frame + 1)  # one who stays, and a stranger in each frame
    assert len(summary.faces) <= 2 * _KEPT
    assert summary.faces[0].total() == 5 * _KEPT
    assert f"{5 * _KEPT + 1:,} faces" in str(summary)
    assert f"and {5 * _KEPT - 4:,} seen more shortly" in str(summary)
