"""The page for pictures, driven without a browser."""

import io
import os

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from written_bundle import write_bundle

from fer.app import serving
from fer.app.gallery import SAMPLES, draw_sample
from fer.app.limits import MAX_PICTURES
from fer.app.settings import Settings, use
from fer.bundle.find import find_bundle
from fer.faces.choose import YUNET_VARIABLE

TITLES = [sample.title for sample in SAMPLES]
GROUP = TITLES.index("three faces")


def script():
    from fer.app.safety import explained
    from fer.app.views.upload import page

    with explained():
        page()


@pytest.fixture
def page():
    use(Settings(detector="haar"))
    return AppTest.from_function(script, default_timeout=60).run()


def as_png(picture):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def upload(page, *files):
    page.file_uploader[0].set_value([(name, content, "image/png") for name, content in files])
    return page.run()


def words(page):
    return " ".join(
        element.value for kind in ("markdown", "caption", "subheader") for element in page.get(kind)
    )


def choose(page, key, position):
    page.button_group(key=key).set_value(position)
    return page.run()


def test_a_newcomer_clicks_a_drawn_face_and_sees_an_emotion(page):
    assert not page.exception
    assert "gone half a minute after you close this tab" in words(page)
    assert not page.dataframe
    choose(page, "sample", TITLES.index("happy"))
    assert page.subheader[0].value.startswith("Happy, ")
    assert "1 face" in words(page)
    assert page.dataframe[0].value["emotion"].tolist() == ["happy"]
    assert not page.error


def test_a_percentage_is_explained_by_its_own_size(page):
    choose(page, "sample", TITLES.index("happy"))
    share = page.subheader[0].value.removeprefix("Happy, ")
    assert f"about {share} of the answers given with {share} are right" in words(page)


def test_a_model_that_is_not_calibrated_is_not_said_to_be(tmp_path):
    use(Settings(model=str(write_bundle(tmp_path / "m", export={}).folder), detector="haar"))
    page = choose(AppTest.from_function(script, default_timeout=60).run(), "sample", 0)
    assert "percentages are not calibrated: they rank emotions, no more" in words(page)
    assert "Calibrated" not in words(page)


def test_a_face_of_several_is_chosen_and_an_uncertain_one_is_called_so(page):
    choose(page, "sample", GROUP)
    assert "3 faces" in words(page)
    assert page.subheader[0].value.startswith("Happy, ")
    assert not page.warning
    choose(page, "face", 2)
    assert page.subheader[0].value.startswith("Neutral, ")
    below = round(100 * find_bundle().card.abstain_below)
    assert f"Uncertain: below {below} %" in page.warning[0].value
    assert page.dataframe[0].value["uncertain"].tolist() == [False, False, True]


def test_why_is_answered_when_it_is_asked(page):
    choose(page, "sample", TITLES.index("surprise"))
    assert "occlusion" not in words(page)
    page.toggle(key="why").set_value(True).run()
    assert "Found by hiding one part of the face after the other (occlusion)" in words(page)
    assert "With the hottest tenth of the face hidden" in words(page)


def test_landmarks_are_offered_only_where_the_detector_gives_them(page):
    choose(page, "sample", 0)
    assert [toggle.key for toggle in page.toggle] == ["why"]


@pytest.mark.skipif(YUNET_VARIABLE not in os.environ, reason=f"{YUNET_VARIABLE} names no file")
def test_landmarks_are_shown_on_demand():
    use(Settings(detector="yunet"))
    page = choose(AppTest.from_function(script, default_timeout=60).run(), "sample", 0)
    assert page.toggle(key="points").value is False
    page.toggle(key="points").set_value(True).run()
    assert not page.exception


def test_several_files_are_judged_and_bad_ones_do_not_stop_them(page):
    good = as_png(draw_sample(SAMPLES[0]))
    upload(
        page,
        ("a.png", good),
        ("../<script>x</script>.png", b"<html>"),
        ("cut.png", good[: len(good) // 2]),
        ("none.png", as_png(np.full((200, 200, 3), 200, np.uint8))),
        ("b.png", good),
    )
    assert not page.exception
    assert len(page.error) == 2
    assert page.error[0].value.startswith("script\\>.png: expected")  # what follows the last slash, as text
    assert "a web page" in page.error[0].value
    assert "damaged or cut off" in page.error[1].value
    assert page.dataframe[0].value["picture"].tolist() == ["a.png", "b.png"]
    page.selectbox[0].set_value(1).run()
    assert "No face was found" in page.info[0].value
    assert not page.exception


def test_pictures_are_judged_once_and_forgotten_when_they_go(page, monkeypatch):
    upload(page, ("a.png", as_png(draw_sample(SAMPLES[0]))))
    (before,) = page.session_state["judged"].values()
    page.toggle(key="why").set_value(True).run()
    assert [*page.session_state["judged"].values()] == [before]
    page.file_uploader[0].set_value(None)
    page.run()
    assert page.session_state["judged"] == {}


def test_more_pictures_than_allowed_are_not_all_taken(page):
    tiny = as_png(np.full((40, 40, 3), 200, np.uint8))
    upload(page, *((f"{number}.png", tiny) for number in range(MAX_PICTURES + 3)))
    assert "more than this page takes" in page.warning[0].value
    assert len(page.session_state["judged"]) == MAX_PICTURES


def test_a_snapshot_is_judged(page):
    page.button_group[0].set_value("Camera")
    page.run()
    assert not page.exception
    assert not page.file_uploader
    page.camera_input[0].set_value(("snapshot.jpg", as_png(draw_sample(SAMPLES[0])), "image/jpeg"))
    page.run()
    assert page.subheader[0].value.startswith("Happy, ")


def test_a_model_that_cannot_be_used_is_told_without_paths(tmp_path):
    use(Settings(model=str(tmp_path / "gone"), detector="haar"))
    page = AppTest.from_function(script, default_timeout=60).run()
    page.button_group(key="sample").set_value(0)
    page.run()
    assert not page.exception
    assert page.error[0].value.startswith("gone: expected a bundle")


def test_a_defect_of_ours_shows_no_traceback(page, monkeypatch, caplog):
    monkeypatch.setattr(serving, "bundle_of", lambda *_: 1 / 0)
    use(Settings(model="other", detector="haar"))
    choose(page, "sample", 0)
    assert not page.exception
    assert "Something went wrong on our side" in page.error[0].value
    assert "ZeroDivisionError" in caplog.text
