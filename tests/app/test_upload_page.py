"""The images page, tested without a browser."""

import io
import os

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_bundle import write_bundle

from fer.app import answers, resources
from fer.app.settings import MAX_IMAGES, Settings, set_settings
from fer.bundle.registry import Registry, find_bundle
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.faces.detectors import YUNET_ENV_VAR

TITLES = [sample.title for sample in SAMPLES]
GROUP = TITLES.index("three faces")


def script():
    from fer.app.pages.upload import page
    from fer.app.uploads import handle_errors

    with handle_errors():
        page()


@pytest.fixture
def page():
    set_settings(Settings(detector="haar"))
    return AppTest.from_function(script, default_timeout=60).run()


def as_png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def upload(page, *files):
    page.file_uploader[0].set_value([(name, content, "image/png") for name, content in files])
    return page.run()


def page_text(page):
    return " ".join(element.value for kind in ("markdown", "caption", "header") for element in page.get(kind))


def choose(page, key, position):
    page.button_group(key=key).set_value(position)
    return page.run()


def test_a_click_on_a_sample_shows_its_emotion(page):
    assert not page.exception
    assert "deleted when you clear them, or 30 seconds after you close this tab" in page_text(page)
    assert not page.dataframe
    choose(page, "sample", TITLES.index("happy"))
    assert page.header[0].value.startswith("Happy, ")
    assert "1 face" in page_text(page)
    assert page.dataframe[0].value["emotion"].tolist() == ["happy"]
    assert not page.error


def test_calibration_is_explained(page):
    choose(page, "sample", TITLES.index("happy"))
    confidence = page.header[0].value.removeprefix("Happy, ")
    assert f"about {confidence} of the predictions made with {confidence} are correct" in page_text(page)


def test_an_uncalibrated_model_is_marked(tmp_path):
    set_settings(Settings(model=str(write_bundle(tmp_path / "m", export={}).folder), detector="haar"))
    page = choose(AppTest.from_function(script, default_timeout=60).run(), "sample", 0)
    assert "probabilities are not calibrated: they only rank the emotions" in page_text(page)
    assert "Calibrated" not in page_text(page)


def test_one_of_several_faces_can_be_selected_and_an_uncertain_one_is_marked(page):
    choose(page, "sample", GROUP)
    assert "3 faces" in page_text(page)
    assert page.header[0].value.startswith("Happy, ")
    assert not page.warning
    choose(page, "face", 2)
    assert page.header[0].value.startswith("Uncertain: neutral ")
    assert ", or " in page.header[0].value
    below = round(100 * find_bundle().card.abstain_below)
    assert f"Uncertain: the confidence is below {below} %" in page.warning[0].value
    assert page.dataframe[0].value["uncertain"].tolist() == [False, False, True]


def test_the_saliency_map_is_shown_on_demand(page):
    choose(page, "sample", TITLES.index("surprise"))
    assert "Occlusion" not in page_text(page)
    page.toggle(key="explain").set_value(True).run()
    assert "Occlusion map: each part of the face is covered in turn" in page_text(page)
    assert "With the most salient 10 % of the face covered" in page_text(page)


def test_the_code_gives_the_answer_of_the_page(page, tmp_path, monkeypatch, capsys):
    content = as_png(render_sample(SAMPLES[0]))
    upload(page, ("my face.png", content))
    command, code = (block.value for block in page.code)
    assert command == "fer-predict 'my face.png' --detector haar"
    (tmp_path / "my face.png").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    exec(code)
    shown = page.dataframe[0].value.iloc[0]
    printed = capsys.readouterr().out.split(" ")
    assert printed[0] == shown["emotion"] == "happy"
    assert float(printed[1]) == pytest.approx(shown["confidence"], abs=1e-5)


def test_landmarks_are_offered_only_if_the_detector_provides_them(page):
    choose(page, "sample", 0)
    assert [toggle.key for toggle in page.toggle] == ["explain"]


@pytest.mark.skipif(YUNET_ENV_VAR not in os.environ, reason=f"{YUNET_ENV_VAR} is not set")
def test_landmarks_are_shown_on_demand():
    set_settings(Settings(detector="yunet"))
    page = choose(AppTest.from_function(script, default_timeout=60).run(), "sample", 0)
    assert page.toggle(key="points").value is False
    page.toggle(key="points").set_value(True).run()
    assert not page.exception


def test_invalid_files_do_not_stop_valid_ones(page):
    valid = as_png(render_sample(SAMPLES[0]))
    upload(
        page,
        ("a.png", valid),
        ("../<script>x</script>.png", b"<html>"),
        ("cut.png", valid[: len(valid) // 2]),
        ("none.png", as_png(np.full((200, 200, 3), 200, np.uint8))),
        ("b.png", valid),
    )
    assert not page.exception
    assert len(page.error) == 2
    # The part after the last slash, escaped.
    assert page.error[0].value.startswith("script\\>.png: expected")
    assert "a web page" in page.error[0].value
    assert "damaged or cut off" in page.error[1].value
    assert pictures(page) == ["a.png", "none.png", "b.png"]
    assert "3 images, 2 faces: 2 happy; without a face: 1" in page_text(page)
    by_label(page, "Next").click().run()
    assert "No face was detected" in page.info[0].value
    assert not page.exception


def test_files_that_are_no_images_are_refused_with_advice(page):
    upload(page, ("a.mp4", b"\0\0\0\x20ftypisom"), ("b.pdf", b"%PDF-1.7"), ("c.svg", b"<svg></svg>"))
    assert [error.value.split("got ")[1].replace("\\", "") for error in page.error] == [
        "a video. Use the page Video.",
        "a PDF. Save the page as PNG or JPEG.",
        "an SVG drawing. Save it as PNG.",
    ]


def test_an_animation_is_named(page):
    frames = [Image.fromarray(render_sample(SAMPLES[index])) for index in (0, 1)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    upload(page, ("a.gif", content.getvalue()))
    assert "An animation of 2 images: only the first one was analysed." in page.info[0].value
    assert page.dataframe[0].value["emotion"].tolist() == ["happy"]


def test_a_face_that_is_upside_down_is_found(page):
    sample = render_sample(SAMPLES[TITLES.index("happy")])
    upload(page, ("a.png", as_png(sample[::-1, ::-1])), ("b.png", as_png(sample)))
    assert page.info[0].value == "1 face found after turning the image by 180 degrees."
    table = page.dataframe[0].value
    assert table["emotion"].tolist() == ["happy", "happy"]
    assert table["rotation"].tolist() == [180, 0]
    # In the image as it is.
    assert table["top"][0] == pytest.approx(400 - table["top"][1] - table["height"][1], abs=20)
    by_label(page, "Next").click().run()
    assert not page.info


def by_label(page, label):
    (button,) = [button for button in page.button if button.label == label]
    return button


def test_many_images_are_chosen_filtered_and_stepped_through(page):
    images = (render_sample(SAMPLES[TITLES.index(name)]) for name in ("happy", "surprise", "three faces"))
    upload(page, *((f"{number}.png", as_png(image)) for number, image in enumerate(images)))
    assert "0.png" in page.get("caption")[0].value
    tiles = next(group for group in page.button_group if (group.key or "").startswith("image_"))
    assert [option.content for option in tiles.proto.options] == ["1. happy", "2. surprise", "3. 3 faces"]
    choose(page, tiles.key, 2)
    assert "3 faces" in page.get("caption")[0].value
    by_label(page, "Next").click().run()
    assert page.get("caption")[0].value.startswith("0.png")
    by_label(page, "Previous").click().run()
    assert page.get("caption")[0].value.startswith("2.png")
    shown = next(group for group in page.button_group if (group.key or "").startswith("shown_"))
    shown.set_value(["uncertain"])
    page.run()
    assert page.get("caption")[0].value.startswith("2.png")
    tiles = next(group for group in page.button_group if (group.key or "").startswith("image_"))
    assert len(tiles.proto.options) == 1
    assert not page.exception


def test_images_are_analysed_once_and_dropped_when_removed(page, monkeypatch):
    upload(page, ("a.png", as_png(render_sample(SAMPLES[0]))))
    (before,) = page.session_state["results"].values()
    page.toggle(key="explain").set_value(True).run()
    assert [*page.session_state["results"].values()] == [before]
    page.file_uploader[0].set_value(None)
    page.run()
    assert page.session_state["results"] == {}


def several_pages():
    import streamlit as st

    from fer.app.pages.upload import page

    if st.checkbox("another page"):
        st.markdown("away")
    else:
        page()


def pictures(page):
    return page.dataframe[0].value["picture"].tolist() if page.dataframe else []


def test_results_stay_after_a_visit_of_another_page():
    page = AppTest.from_function(several_pages, default_timeout=60).run()
    content = as_png(render_sample(SAMPLES[0]))
    upload(page, ("a.png", content), ("b.png", content))
    results = page.session_state["results"]
    page.checkbox[0].check().run()
    assert not pictures(page)
    page.checkbox[0].uncheck().run()
    assert pictures(page) == ["a.png", "b.png"]
    assert page.session_state["results"] == results
    # New files are added to those of before.
    upload(page, ("c.png", content))
    assert pictures(page) == ["a.png", "b.png", "c.png"]
    page.button[0].click().run()
    assert not pictures(page)
    assert page.session_state["results"] == {}
    upload(page, ("d.png", content))
    assert pictures(page) == ["d.png"]


def test_a_sample_stays_chosen_after_a_visit_of_another_page():
    page = AppTest.from_function(several_pages, default_timeout=60).run()
    choose(page, "sample", 1)
    page.checkbox[0].check().run()
    page.checkbox[0].uncheck().run()
    assert pictures(page) == [f"{TITLES[1]}.png"]
    choose(page, "sample", None)
    assert not pictures(page)


def test_files_stay_while_the_camera_is_shown(page):
    upload(page, ("a.png", as_png(render_sample(SAMPLES[0]))))
    page.button_group[0].set_value("Camera")
    page.run()
    assert pictures(page) == ["a.png"]
    page.camera_input[0].set_value(("snapshot.jpg", as_png(render_sample(SAMPLES[1])), "image/jpeg"))
    page.run()
    assert pictures(page) == ["a.png", "snapshot.jpg"]
    page.button_group[0].set_value("Files")
    page.run()
    assert pictures(page) == ["a.png", "snapshot.jpg"]


def test_a_removed_file_takes_its_result_along(page):
    content = as_png(render_sample(SAMPLES[0]))
    upload(page, ("a.png", content), ("b.png", content))
    upload(page, ("b.png", content))
    assert pictures(page) == ["b.png"]


def test_images_beyond_the_limit_are_ignored(page):
    tiny = as_png(np.full((40, 40, 3), 200, np.uint8))
    upload(page, *((f"{number}.png", tiny) for number in range(MAX_IMAGES + 3)))
    assert "Too many images" in page.warning[0].value
    assert len(page.session_state["results"]) == MAX_IMAGES


def test_images_of_too_many_megabytes_are_left_out(page, monkeypatch):
    content = as_png(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8))
    monkeypatch.setattr(answers, "MAX_SESSION_MB", 1)
    upload(page, ("a.png", content), ("b.png", content), ("c.png", content))
    assert "so 1 of 3 new ones were left out" in page.warning[0].value
    assert pictures(page) == ["a.png", "b.png"]


def test_another_model_is_applied_to_images_after_a_visit_of_another_page(tmp_path):
    bundle = write_bundle(tmp_path / "m", name="tiny")
    Registry(tmp_path / "models").register(bundle)
    set_settings(Settings(models=tmp_path / "models", detector="haar"))
    page = AppTest.from_function(several_pages, default_timeout=60).run()
    upload(page, ("a.png", as_png(render_sample(SAMPLES[0]))))
    before = page.dataframe[0].value["happy"][0]
    page.checkbox[0].check().run()
    page.checkbox[0].uncheck().run()
    page.selectbox[0].set_value("tiny:1").run()
    assert not page.exception
    assert pictures(page) == ["a.png"]
    assert page.dataframe[0].value["happy"][0] != before


def test_a_snapshot_is_analysed(page):
    page.button_group[0].set_value("Camera")
    page.run()
    assert not page.exception
    assert not page.file_uploader
    page.camera_input[0].set_value(("snapshot.jpg", as_png(render_sample(SAMPLES[0])), "image/jpeg"))
    page.run()
    assert page.header[0].value.startswith("Happy, ")


def test_a_missing_model_is_reported_without_paths(tmp_path):
    set_settings(Settings(model=str(tmp_path / "gone"), detector="haar"))
    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    assert page.error[0].value.startswith("gone: expected a bundle")


def test_an_internal_error_shows_no_traceback(page, monkeypatch, caplog):
    monkeypatch.setattr(resources, "open_bundle", lambda *_: 1 / 0)
    set_settings(Settings(model="other", detector="haar"))
    page.run()
    assert not page.exception
    assert "An internal error occurred" in page.error[0].value
    assert "ZeroDivisionError" in caplog.text
