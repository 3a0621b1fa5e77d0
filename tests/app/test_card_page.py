"""The page of the model card: words, figures and warnings, also of an older card that has less to say."""

import json

import pytest
from card_of_tests import MATRIX
from streamlit.testing.v1 import AppTest
from written_bundle import write_bundle

from fer.app import settings as app_settings
from fer.app.serving import versions
from fer.bundle.files import CARD
from fer.bundle.find import ZOO
from fer.bundle.registry import Registry


def start(**chosen):
    app_settings.use(app_settings.Settings(detector="haar", **chosen))
    page = AppTest.from_string("from fer.app.views.card import page\npage()", default_timeout=60).run()
    assert not page.exception
    return page


def shown(page):
    words = [part.value for part in (*page.markdown, *page.warning, *page.header)]
    return " ".join([*words, *(part.proto.body for part in page.get("html"))]).replace("\\", "")


@pytest.fixture
def nothing(tmp_path):
    return tmp_path / "none"


def test_the_card_warns_first_and_says_its_figures(nothing):
    page = start(models=nothing)
    assert "not a feeling" in page.warning[0].value
    words = shown(page)
    accuracy = json.loads((ZOO / "fer2013" / CARD).read_text())["metrics"]["val"]["figures"]["accuracy"]
    value, low, high = (f"{100 * accuracy[key]:.1f}" for key in ("value", "low", "high"))
    figure = f"{value} % [{low}, {high}]"
    for said in ("Do not decide about people", figure, "selection split", "PublicTest", "arxiv"):
        assert said in words


def test_emotions_are_ranked_by_f1(nothing):
    found = [part.proto.body for part in start(models=nothing).get("html")]
    (bars,) = [body for body in found if body.startswith('<ul class="fer-scores"')]
    assert bars.index("happy") < bars.index("neutral") < bars.index("fear")


def written(folder, confusion):
    bundle = write_bundle(folder)
    card = json.loads((folder / CARD).read_text())
    if confusion:
        card["metrics"]["val"]["confusion"] = confusion
    (folder / CARD).write_text(json.dumps(card))
    return str(bundle.folder)


def test_the_confusion_matrix_has_its_numbers(tmp_path, nothing):
    words = shown(start(model=written(tmp_path / "new", MATRIX), models=nothing))
    total = sum(MATRIX[0])
    assert f"{100 * MATRIX[0][0] / total:.0f} %<small>{MATRIX[0][0]}</small>" in words
    assert "The most frequent error" in words


def test_an_old_card_has_none_and_says_so(tmp_path, nothing):
    words = shown(start(model=written(tmp_path / "old", None), models=nothing))
    assert "no confusion matrix" in words
    assert "60.0 % [58.0, 62.0]" in words


def test_what_a_card_says_is_never_markup(tmp_path, nothing):
    evil = "<script>alert(1)</script>"
    folder = tmp_path / "evil"
    write_bundle(folder, training={"data": evil, "command": evil}, licence={"data": evil, "weights": evil})
    page = start(model=str(folder), models=nothing)
    assert "<script" not in " ".join(part.value for part in page.markdown).replace("\\<script", "")
    assert "<script" not in " ".join(part.proto.body for part in page.get("html"))


def test_a_version_of_the_registry_can_be_chosen(tmp_path):
    books = Registry(tmp_path / "models")
    books.register(write_bundle(tmp_path / "bundle", accuracy=0.42))
    page = start(models=books.folder)
    (wanted,) = [version for version in versions() if version.title == "tiny:1"]
    page.selectbox[0].set_value(wanted).run()
    assert "42.0 % [40.0, 44.0]" in shown(page)
