"""The model card page: texts, metrics and warnings, also for an older card with fewer values."""

import json

import pytest
from example_card import MATRIX
from streamlit.testing.v1 import AppTest
from tiny_bundle import validation, write_bundle

from fer.app import settings as app_settings
from fer.app.resources import list_versions
from fer.bundle.files import CARD
from fer.bundle.registry import ZOO, Registry


def start(**settings):
    app_settings.set_settings(app_settings.Settings(detector="haar", **settings))
    page = AppTest.from_string("from fer.app.pages.card import page\npage()", default_timeout=60).run()
    assert not page.exception
    return page


def page_text(page):
    texts = [part.value for part in (*page.markdown, *page.warning, *page.header)]
    return " ".join([*texts, *(part.proto.body for part in page.get("html"))]).replace("\\", "")


@pytest.fixture
def no_registry(tmp_path):
    return tmp_path / "none"


def test_the_page_shows_a_warning_and_the_metrics(no_registry):
    page = start(models=no_registry)
    assert "not a feeling" in page.warning[0].value
    text = page_text(page)
    accuracy = json.loads((ZOO / "fer2013" / CARD).read_text())["metrics"]["val"]["figures"]["accuracy"]
    value, low, high = (f"{100 * accuracy[key]:.1f}" for key in ("value", "low", "high"))
    estimate = f"{value} % [{low}, {high}]"
    for expected in ("Do not use it to make decisions", estimate, "selection split", "PublicTest", "arxiv"):
        assert expected in text


def test_emotions_are_ranked_by_f1(no_registry):
    bodies = [part.proto.body for part in start(models=no_registry).get("html")]
    (bars,) = [body for body in bodies if '<ul class="fer-scores"' in body]
    assert bars.index("happy") < bars.index("neutral") < bars.index("fear")


def bundle_folder(folder, confusion):
    bundle = write_bundle(folder)
    card = json.loads((folder / CARD).read_text())
    if confusion:
        card["metrics"]["val"]["confusion"] = confusion
    (folder / CARD).write_text(json.dumps(card))
    return str(bundle.folder)


def test_the_confusion_matrix_is_shown(tmp_path, no_registry):
    text = page_text(start(model=bundle_folder(tmp_path / "new", MATRIX), models=no_registry))
    total = sum(MATRIX[0])
    assert f"{100 * MATRIX[0][0] / total:.0f} %<small>{MATRIX[0][0]}</small>" in text
    assert "Most frequent error" in text


def test_a_card_without_confusion_matrix_says_so(tmp_path, no_registry):
    text = page_text(start(model=bundle_folder(tmp_path / "old", None), models=no_registry))
    assert "no confusion matrix" in text
    assert "60.0 % [58.0, 62.0]" in text


def test_texts_of_a_card_are_escaped(tmp_path, no_registry):
    script = "<script>alert(1)</script>"
    folder = tmp_path / "script"
    write_bundle(
        folder, training={"data": script, "command": script}, licence={"data": script, "weights": script}
    )
    page = start(model=str(folder), models=no_registry)
    assert "<script" not in " ".join(part.value for part in page.markdown).replace("\\<script", "")
    assert "<script" not in " ".join(part.proto.body for part in page.get("html"))


def test_a_version_of_the_registry_can_be_chosen(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.register(write_bundle(tmp_path / "bundle", accuracy=0.42))
    page = start(models=registry.folder)
    (version,) = [version for version in list_versions() if version.title == "tiny:1"]
    page.selectbox[0].set_value(version).run()
    assert "42.0 % [40.0, 44.0]" in page_text(page)


def test_a_calibrated_model_shows_the_figures_of_its_calibration(tmp_path, no_registry):
    measured = validation(0.6, {}) | {"split": "mine (folder, all)", "n": 80, "selection_split": False}
    measured["figures"]["coverage"] = {"value": 0.5, "low": 0.4, "high": 0.6}
    metrics = {"calibration": measured, "before_calibration": measured | {"of": "smile:1"}}
    bundle = write_bundle(tmp_path / "mine", metrics=metrics)
    text = page_text(start(model=str(bundle.folder), models=no_registry))
    assert "Measured on mine (folder, all), 80 images" in text
    assert "60.0 % [58.0, 62.0]" in text
