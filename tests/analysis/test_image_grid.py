import warnings

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from fer.analysis.image_grid import plot_image_grid
from fer.errors import FerError


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels_of(fig: Figure) -> np.ndarray:
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3]


def test_image_grid_shows_every_pixel_as_an_even_square():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    picture = pixels_of(plot_image_grid(images, None, 2, "t"))
    expected = images[2].repeat(4, 0).repeat(4, 1).repeat(3, 2)
    found = cv2.matchTemplate(np.ascontiguousarray(picture), expected, cv2.TM_SQDIFF)
    assert found.min() == 0


def test_image_grid_takes_float_as_well_as_bytes():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    from_bytes, from_float = (pixels_of(plot_image_grid(x, None, 2, "t")) for x in (images, images / 255))
    assert np.array_equal(from_bytes, from_float)


@pytest.mark.parametrize("shape", [(0, 48, 48, 1), (1, 48, 48, 3), (2, 600, 500, 1), (9, 2, 3, 3)])
def test_odd_grids_are_drawn(shape):
    images = np.full(shape, np.nan, np.float32)
    assert pixels_of(plot_image_grid(images, ["a title that is much too long"] * shape[0], 4, "t")).std() > 0


@pytest.mark.parametrize(
    ("shape", "titles", "columns"),
    [((4, 8, 8), None, 2), ((4, 8, 8, 2), None, 2), ((4, 8, 8, 1), ["a"], 2), ((1, 8, 8, 1), None, 0)],
)
def test_image_grid_refuses_what_it_cannot_lay_out(shape, titles, columns):
    with pytest.raises(FerError, match="Image grid: expected"):
        plot_image_grid(np.zeros(shape), titles, columns, "t")
