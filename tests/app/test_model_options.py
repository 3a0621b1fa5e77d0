"""The choice of model, threshold and smoothing, tested without a browser."""

import pytest
from streamlit.testing.v1 import AppTest
from tiny_bundle import write_bundle

from fer.app import answers
from fer.app.settings import Settings, set_settings
from fer.bundle.registry import Registry, find_bundle

PACKAGED = find_bundle().card


def options_script():
    import streamlit as st

    from fer.app.components.code import show_code
    from fer.app.components.model_options import choose_model

    if not st.checkbox("another page"):
        options = choose_model(smoothing=True)
        st.session_state["chosen"] = options
        show_code(["a.mp4"], chosen=options)


def images_script():
    from fer.app.pages.upload import page

    page()


@pytest.fixture
def registry(tmp_path):
    """Register a model with another threshold, and one without a threshold."""
    folder = tmp_path / "models"
    calibrated = {"calibration": {"split": "PublicTest"}}
    for seed, (name, threshold, export) in enumerate((("sure", 0.734, calibrated), ("free", None, {}))):
        bundle = write_bundle(tmp_path / name, name=name, abstain_below=threshold, export=export, seed=seed)
        Registry(folder).register(bundle)
    set_settings(Settings(models=folder, detector="haar"))
    return folder


def run(script):
    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    return page


def choose_sample(page, number):
    page.button_group(key="sample").set_value(number)
    return page.run()


def by_label(page, label):
    (button,) = [button for button in page.button if button.label == label]
    return button


def test_the_model_of_the_app_and_its_threshold_are_the_default(registry):
    page = run(options_script)
    options = page.session_state["chosen"]
    assert options.version.reference is None
    assert options.uncertain_below == PACKAGED.abstain_below
    assert options.own_threshold is None
    assert options.smooth == 0.5
    percent = round(100 * PACKAGED.abstain_below)
    assert page.slider[0].value == percent
    assert f"uncertain below {percent} %" in page.expander[0].label
    assert f">card: {percent} %<" in page.get("html")[0].proto.body
    assert by_label(page, "Back to the card's threshold").disabled


def test_the_models_of_registry_and_package_are_offered(registry):
    titles = run(options_script).selectbox[0].options
    assert {"sure:1", "free:1"} < set(titles)
    assert len(titles) == len(set(titles)) >= 4


def test_each_model_has_the_threshold_of_its_card(registry):
    page = run(options_script)
    page.selectbox[0].set_value("sure:1").run()
    assert page.session_state["chosen"].uncertain_below == 0.734
    page.slider[0].set_value(90).run()
    assert page.session_state["chosen"].uncertain_below == 0.9
    assert "Model **sure:1** · uncertain below 90 %" in page.expander[0].label.replace("\\", "")
    page.selectbox[0].set_value("free:1").run()
    assert page.session_state["chosen"].uncertain_below is None
    assert "no threshold" in page.expander[0].label
    assert page.session_state["chosen"].own_threshold is None
    page.selectbox[0].set_value("sure:1").run()
    assert page.session_state["chosen"].uncertain_below == 0.9
    by_label(page, "Back to the card's threshold").click().run()
    assert page.session_state["chosen"].uncertain_below == 0.734


def test_the_smoothing_can_be_changed_and_set_back(registry):
    page = run(options_script)
    page.slider[1].set_value(1.2).run()
    assert page.session_state["chosen"].smooth == 1.2
    assert "smoothed over 1.2 s" in page.expander[0].label
    by_label(page, "Back to the default").click().run()
    assert page.session_state["chosen"].smooth == 0.5


def test_the_choice_stays_after_a_visit_of_another_page(registry):
    page = run(options_script)
    page.selectbox[0].set_value("sure:1").run()
    page.slider[0].set_value(90).run()
    page.checkbox[0].check().run()
    page.checkbox[0].uncheck().run()
    options = page.session_state["chosen"]
    assert (options.version.title, options.uncertain_below) == ("sure:1", 0.9)


def test_the_code_names_the_choice(registry):
    page = run(options_script)
    page.selectbox[0].set_value("sure:1").run()
    assert page.code[0].value == "fer-predict a.mp4 --model sure:1 --detector haar"
    page.slider[0].set_value(90).run()
    assert page.code[0].value == "fer-predict a.mp4 --model sure:1 --detector haar --threshold 0.9"
    assert "Predictor(model='sure:1', detector='haar', threshold=0.9)" in page.code[1].value


def test_a_threshold_changes_what_is_uncertain_without_a_new_analysis(registry, monkeypatch):
    page = choose_sample(run(images_script), 0)
    assert page.header[0].value.startswith("Happy, ")
    confidence = page.dataframe[0].value["confidence"][0]
    monkeypatch.setattr(answers, "analyse_image", None)
    above = round(100 * confidence) + 1
    page.slider[0].set_value(above).run()
    assert not page.exception
    assert page.header[0].value.startswith("Uncertain: happy ")
    assert f"below your threshold of {above} %" in page.warning[0].value
    assert page.dataframe[0].value["uncertain"].tolist() == [True]
    assert f"--threshold {above / 100}" in page.code[0].value
    by_label(page, "Back to the card's threshold").click().run()
    assert page.dataframe[0].value["uncertain"].tolist() == [False]


def test_another_model_analyses_the_images_again(registry):
    page = choose_sample(run(images_script), 0)
    first = page.dataframe[0].value["happy"][0]
    page.selectbox[0].set_value("sure:1").run()
    assert not page.exception
    assert page.dataframe[0].value["happy"][0] != first
    assert "--model sure:1" in page.code[0].value
    page.selectbox[0].set_value(page.selectbox[0].options[0]).run()
    assert page.dataframe[0].value["happy"][0] == first
