import warnings

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from fer.analysis.plots.images import plot_image_grid


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels_of(fig: Figure) -> np.ndarray:
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3]


def test_pixels_are_enlarged_by_an_integer_factor():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), np.uint8)
    rendered = pixels_of(plot_image_grid(images, None, 2, "t"))
    expected = images[2].repeat(4, 0).repeat(4, 1).repeat(3, 2)
    distances = cv2.matchTemplate(np.ascontiguousarray(rendered), expected, cv2.TM_SQDIFF)
    assert distances.min() == 0


def test_float_and_uint8_images_render_the_same():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    from_uint8, from_float = (pixels_of(plot_image_grid(x, None, 2, "t")) for x in (images, images / 255))
    assert np.array_equal(from_uint8, from_float)


@pytest.mark.parametrize("shape", [(0, 48, 48, 1), (1, 48, 48, 3), (2, 600, 500, 1), (9, 2, 3, 3)])
def test_edge_cases_render(shape):
    images = np.full(shape, np.nan, np.float32)
    assert pixels_of(plot_image_grid(images, ["a title that is much too long"] * shape[0], 4, "t")).std() > 0
