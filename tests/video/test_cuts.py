import numpy as np
import pytest
from films import SquareFinder, scene, write_film

from fer.data.synthetic import face_at, render_face
from fer.video.cuts import CutFinder
from fer.video.run import run_video


def faces(count, size):
    return [render_face(face_at(0, 0, index, 0.3)[0], size)[0] for index in range(count)]


def test_moving_squares_are_one_shot():
    is_cut = CutFinder()
    assert not any(is_cut(scene(index)) for index in range(36))


@pytest.mark.parametrize("size", [40, 320])
def test_every_cut_between_other_people_is_found_and_no_other(size):
    is_cut, found = CutFinder(), []
    for picture in faces(12, size):
        found += [is_cut(np.roll(picture, shift, 1)) for shift in range(3)]
    assert found == [False] * 3 + [True, False, False] * 11


def test_who_stands_in_the_same_place_after_a_cut_is_someone_else(tmp_path):
    """And the smoothing starts anew: the second is sad from the first frame on."""
    first = [scene(0, sad=False)] * 10
    second = [
        np.where(picture == 20, np.uint8(80), np.where(picture > 200, np.uint8(150), picture))
        for picture in first
    ]
    film = write_film(tmp_path / "a.mp4", first + second)
    summary = run_video(film, SquareFinder(), show=False)
    assert summary.faces == {1: {"happy": 10}, 2: {"sad": 10}}


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (13, 20, 3)])
def test_pictures_of_every_shape(shape):
    is_cut = CutFinder()
    assert [is_cut(np.full(shape, gray, np.uint8)) for gray in (0, 0, 200)] == [False, False, True]
