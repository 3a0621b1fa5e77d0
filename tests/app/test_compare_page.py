"""The comparison page: without and with a registry, and with incomparable cards."""

import re
from contextlib import contextmanager

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from tiny_bundle import HASHES, write_bundle

from fer.app import settings as app_settings
from fer.app import uploads
from fer.app.components.images import to_jpeg
from fer.app.pages import compare
from fer.app.resources import list_versions
from fer.app.settings import MAX_DISPLAY_SIDE
from fer.bundle.registry import Registry
from fer.data.synthetic.samples import SAMPLES, render_sample

OTHER_HASHES = HASHES | {"labels_sha256": "c" * 64}


@pytest.fixture
def registry(tmp_path):
    """Versions 1 and 2 were evaluated on the same images, version 3 on others."""
    registry = Registry(tmp_path / "models")
    for seed, hashes in enumerate((HASHES, HASHES, OTHER_HASHES)):
        registry.register(write_bundle(tmp_path / f"bundle{seed}", seed=seed, hashes=hashes))
    return registry.folder


def start(**settings):
    app_settings.set_settings(app_settings.Settings(detector="haar", **settings))
    return AppTest.from_string("from fer.app.pages.compare import page\npage()", default_timeout=60).run()


def page_text(page):
    """Return the texts and HTML of a page."""
    parts = [*page.markdown, *page.info, *page.subheader, *page.code]
    return " ".join([*(part.value for part in parts), *(part.proto.body for part in page.get("html"))])


def test_a_single_model_shows_the_command_to_register_more(tmp_path, monkeypatch):
    monkeypatch.setattr("fer.app.resources.packaged_models", lambda: ["fer2013"])
    page = start(models=tmp_path / "none")
    assert not page.exception
    assert "--register models/" in page_text(page)
    assert not page.multiselect


def test_two_versions_predict_on_the_same_face(registry):
    page = start(models=registry)
    assert not page.exception
    assert not page.error
    assert set(page.multiselect[0].options) >= {"tiny:1", "tiny:2", "tiny:3"}
    assert len(page.multiselect[0].value) == 2
    assert page_text(page).count("Probability of each emotion") == 2


def test_all_versions_have_the_order_and_scale_of_the_first(registry):
    page = start(models=registry)
    versions = sorted(list_versions(), key=lambda version: version.title)[-3:]
    page.multiselect[0].set_value([*page.multiselect[0].value[:1], *versions]).run()
    bars = [part.proto.body for part in page.get("html") if "fer-bars" in part.proto.body]
    orders = [re.findall(r'<th scope="row">(\w+)</th>', body) for body in bars]
    assert len(orders) == 4
    assert all(order == orders[0] for order in orders)
    # The most probable emotion is in bold, and nothing says that it is correct.
    assert all(body.count("fer-first") == 1 for body in bars)
    assert "✓" not in page_text(page)


def test_a_face_of_a_group_is_chosen_by_its_image(registry):
    page = start(models=registry)
    page.button_group(key="compare_sample").set_value(len(SAMPLES) - 1)
    page.run()
    first = page_text(page)
    page.button_group(key="compare_face").set_value(1)
    page.run()
    assert not page.exception
    assert page_text(page) != first


def test_cards_of_other_images_are_marked_as_not_comparable(registry):
    page = start(models=registry)
    titles = ("tiny:1", "tiny:2", "tiny:3")
    page.multiselect[0].set_value(
        sorted(
            (version for version in list_versions() if version.title in titles),
            key=lambda version: version.title,
        )
    ).run()
    text = page_text(page)
    assert "not comparable" in text
    assert "<td>yes</td>" in text


def test_one_selected_version_is_not_enough(registry):
    page = start(models=registry)
    page.multiselect[0].set_value(page.multiselect[0].value[:1]).run()
    assert "Choose at least two versions" in page_text(page)


def test_speed_is_measured_on_demand_and_labelled(registry):
    page = start(models=registry)
    assert ", here" not in page_text(page)
    page.button[0].click().run()
    assert not page.exception
    assert page_text(page).count(", here") == 2


def test_an_uploaded_image_is_read_once_within_a_compute_slot(registry, monkeypatch):
    active, reads = [], []

    @contextmanager
    def compute_slot():
        active.append(True)
        yield
        active.pop()

    def read_upload(name, content):
        reads.append((name, bool(active)))
        return uploads.read_upload(name, content)

    page = start(models=registry)
    monkeypatch.setattr(compare, "compute_slot", compute_slot)
    monkeypatch.setattr(compare, "read_upload", read_upload)
    large = np.kron(render_sample(SAMPLES[0]), np.ones((4, 4, 1), np.uint8))
    page.file_uploader[0].set_value(("mine.png", to_jpeg(large), "image/png")).run()
    page.button[0].click().run()
    assert not page.exception
    assert page_text(page).count("Probability of each emotion") == 2
    assert reads == [("mine.png", True)]
    _, detected = page.session_state[compare._IMAGE]
    assert max(detected.image.shape) == MAX_DISPLAY_SIDE < max(large.shape)
    page.file_uploader[0].set_value(None).run()
    # The removed image is no longer in memory.
    assert page.session_state[compare._IMAGE][0] == "sample 0"


def test_a_file_that_is_not_an_image_is_rejected(registry):
    app_settings.set_settings(app_settings.Settings(detector="haar", models=registry))
    script = "from fer.app.pages.compare import page\nfrom fer.app.uploads import handle_errors\n"
    page = AppTest.from_string(f"{script}with handle_errors():\n    page()", default_timeout=60).run()
    page.file_uploader[0].set_value(("face.png", b"<svg/>", "image/png")).run()
    # The message is shown again on the next run.
    page.run()
    assert not page.exception
    assert "SVG" in page.error[0].value
    assert str(registry.parent) not in page.error[0].value
