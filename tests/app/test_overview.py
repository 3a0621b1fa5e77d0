"""The overview of several images: thumbnails, and a choice that the filter hides."""

import numpy as np
from streamlit.testing.v1 import AppTest

from fer.app.components.overview import _thumbnail
from fer.app.image import ImageAnalysis
from fer.core.labels import FER7, emotion_rgb
from fer.faces.base import Face
from fer.predict.predictor import make_prediction


def analysis(width, height, *boxes):
    """Return an analysis of a black image with a white face in each box, certainly the first emotion."""
    image = np.zeros((height, width, 3), np.uint8)
    for left, top, side, _ in boxes:
        image[top : top + side, left : left + side] = 255
    probs = np.eye(7)[0]
    faces = [make_prediction(Face(box, 1.0), FER7.names, probs, 0.5) for box in boxes]
    return ImageAnalysis("a.png", (width, height), faces, np.zeros((0, 48, 48, 3)), 0.1, 0, image, faces)


def test_a_thumbnail_shows_the_face_of_a_wide_or_high_image():
    for size, box in (((800, 200), (20, 50, 100, 100)), ((200, 800), (50, 690, 100, 100))):
        thumbnail = _thumbnail(analysis(*size, box))
        assert thumbnail.shape == (192, 192, 3)
        # 100 of 200 pixels, squared, without the part under the box.
        assert 0.18 < (thumbnail == 255).all(2).mean() < 0.26
        colour = np.array(emotion_rgb(FER7.names[0], FER7.names))
        assert (np.abs(thumbnail.astype(int) - colour).max(2) < 3).mean() > 0.02


def test_a_thumbnail_without_a_face_shows_the_middle():
    image = analysis(300, 100)
    image.display_image[:, 100:200] = 200
    assert (_thumbnail(image) == 200).all()


def script():
    import streamlit as st
    from test_overview import analysis

    from fer.app.components.overview import choose_image, show_image

    results = [analysis(100, 100, (10, 10, 50, 50)), analysis(100, 100), analysis(200, 100)]
    st.button("last", on_click=show_image, args=(2,))
    st.button("first", on_click=show_image, args=(0,))
    st.session_state["size"] = choose_image(results).size, results[0].size


def test_a_chosen_image_that_the_filter_hides_removes_the_filter():
    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    filters = next(group for group in page.button_group if group.key.startswith("shown_"))
    filters.set_value(["no face"])
    page.run()
    assert page.session_state["size"][0] == (100, 100)
    page.button[1].click().run()
    assert len(next(g for g in page.button_group if g.key.startswith("image_")).proto.options) == 3
    page.button[0].click().run()
    assert page.session_state["size"][0] == (200, 100)
