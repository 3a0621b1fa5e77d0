"""Cuts between shots, and their effect on tracking."""

import numpy as np
import pytest
from video_files import SquarePredictor, render_frame, write_video

from fer.data.synthetic import face_at, render_face
from fer.predict.video.run import run_video
from fer.predict.video.tracking import CutDetector


def random_faces(count, size):
    return [render_face(face_at(0, 0, index, 0.3)[0], size)[0] for index in range(count)]


def test_moving_squares_are_not_a_cut():
    is_cut = CutDetector()
    assert not any(is_cut(render_frame(index)) for index in range(36))


@pytest.mark.parametrize("size", [40, 320])
def test_cuts_between_people_are_detected(size):
    is_cut, cuts = CutDetector(), []
    for image in random_faces(12, size):
        cuts += [is_cut(np.roll(image, shift, 1)) for shift in range(3)]
    assert cuts == [False] * 3 + [True, False, False] * 11


def test_a_face_at_the_same_position_after_a_cut_gets_a_new_number(tmp_path):
    """The smoothing restarts too: the second face is sad from its first frame on."""
    first = [render_frame(0, sad=False)] * 10
    second = [
        np.where(image == 20, np.uint8(80), np.where(image > 200, np.uint8(150), image)) for image in first
    ]
    video = write_video(tmp_path / "a.mp4", first + second)
    summary = run_video(video, SquarePredictor(), show=False)
    assert summary.faces == {1: pytest.approx({"happy": 0.4}), 2: pytest.approx({"sad": 0.4})}


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (13, 20, 3)])
def test_images_of_any_shape(shape):
    is_cut = CutDetector()
    assert [is_cut(np.full(shape, gray, np.uint8)) for gray in (0, 0, 200)] == [False, False, True]
