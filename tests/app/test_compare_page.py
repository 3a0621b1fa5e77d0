"""The page of comparison: without a registry, with one, and with cards that do not fit together."""

from contextlib import contextmanager

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from written_bundle import HASHES, write_bundle

from fer.app import intake
from fer.app import settings as app_settings
from fer.app.gallery import SAMPLES, draw_sample
from fer.app.limits import SHOWN_SIDE
from fer.app.parts.images import to_jpeg
from fer.app.serving import versions
from fer.app.views import compare
from fer.bundle.registry import Registry

OTHERS = HASHES | {"labels_sha256": "c" * 64}


@pytest.fixture
def registry(tmp_path):
    """Versions 1 and 2 are scored on the same images, version 3 on others."""
    books = Registry(tmp_path / "models")
    for seed, hashes in enumerate((HASHES, HASHES, OTHERS)):
        books.register(write_bundle(tmp_path / f"bundle{seed}", seed=seed, hashes=hashes))
    return books.folder


def start(**chosen):
    app_settings.use(app_settings.Settings(detector="haar", **chosen))
    return AppTest.from_string("from fer.app.views.compare import page\npage()", default_timeout=60).run()


def shown(page):
    """All words and HTML of a page."""
    parts = [*page.markdown, *page.info, *page.subheader, *page.code]
    return " ".join([*(part.value for part in parts), *(part.proto.body for part in page.get("html"))])


def test_one_model_alone_is_explained_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("fer.app.serving.shipped", lambda: ["fer2013"])
    page = start(models=tmp_path / "none")
    assert not page.exception
    assert "--register models/" in shown(page)
    assert not page.multiselect


def test_two_versions_answer_on_the_same_face(registry):
    page = start(models=registry)
    assert not page.exception
    assert not page.error
    assert set(page.multiselect[0].options) >= {"tiny:1", "tiny:2", "tiny:3"}
    assert len(page.multiselect[0].value) == 2
    assert shown(page).count("How probable each emotion is") == 2


def test_cards_of_other_images_are_marked_in_words(registry):
    page = start(models=registry)
    wanted = ("tiny:1", "tiny:2", "tiny:3")
    page.multiselect[0].set_value(
        sorted((one for one in versions() if one.title in wanted), key=lambda one: one.title)
    ).run()
    words = shown(page)
    assert "not comparable" in words
    assert "<td>yes</td>" in words


def test_one_version_is_not_enough(registry):
    page = start(models=registry)
    page.multiselect[0].set_value(page.multiselect[0].value[:1]).run()
    assert "Choose two versions" in shown(page)


def test_speed_is_measured_on_demand_and_labelled(registry):
    page = start(models=registry)
    assert ", here" not in shown(page)
    page.button[0].click().run()
    assert not page.exception
    assert shown(page).count(", here") == 2


def test_a_picture_of_ones_own_is_read_once_and_only_in_turn(registry, monkeypatch):
    inside, read = [], []

    @contextmanager
    def turn():
        inside.append(True)
        yield
        inside.pop()

    def read_upload(name, content):
        read.append((name, bool(inside)))
        return intake.read_upload(name, content)

    page = start(models=registry)
    monkeypatch.setattr(compare, "turn", turn)
    monkeypatch.setattr(compare, "read_upload", read_upload)
    large = np.kron(draw_sample(SAMPLES[0]), np.ones((4, 4, 1), np.uint8))
    page.file_uploader[0].set_value(("mine.png", to_jpeg(large), "image/png")).run()
    page.button[0].click().run()
    assert not page.exception
    assert shown(page).count("How probable each emotion is") == 2
    assert read == [("mine.png", True)]
    _, seen = page.session_state[compare._SEEN]
    assert max(seen.picture.shape) == SHOWN_SIDE < max(large.shape)
    page.file_uploader[0].set_value(None).run()
    assert page.session_state[compare._SEEN][0] == "sample 0"  # nothing of it is kept


def test_a_picture_that_is_none_is_refused(registry):
    app_settings.use(app_settings.Settings(detector="haar", models=registry))
    script = "from fer.app.views.compare import page\nfrom fer.app.safety import explained\n"
    page = AppTest.from_string(f"{script}with explained():\n    page()", default_timeout=60).run()
    page.file_uploader[0].set_value(("face.png", b"<svg/>", "image/png")).run()
    page.run()  # and it is told again
    assert not page.exception
    assert "SVG" in page.error[0].value
    assert str(registry.parent) not in page.error[0].value
