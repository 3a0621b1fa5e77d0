"""Shared predictors, model versions, compute slots and video slots."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from color_bundle import write_bundle

from fer.app import resources
from fer.app.settings import Settings, set_settings
from fer.bundle.files import CARD, read_bundle
from fer.bundle.registry import Registry, packaged_models
from fer.core.errors import FerError
from fer.core.threads import available_cores


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "models")
    bundle = read_bundle(write_bundle(tmp_path / "m"))
    for _ in range(2):
        registry.register(bundle)
    return registry


def test_all_visitors_share_the_model_and_the_detector(registry):
    set_settings(Settings(models=registry.folder, detector="haar"))
    with ThreadPoolExecutor(8) as pool:
        predictors = list(pool.map(lambda _: resources.get_predictor("colours:1"), range(16)))
    assert len({id(one) for one in predictors}) == 1
    assert resources.get_predictor("colours:2").detector is predictors[0].detector
    assert resources.get_predictor("colours:2") is not predictors[0]


def test_another_detector_shares_the_model(registry):
    set_settings(Settings(models=registry.folder, detector="haar"))
    predictor = resources.get_predictor("colours:1")
    other = resources.get_predictor("colours:1", "none")
    assert (predictor.detector.name, other.detector.name) == ("haar", "none")
    assert other.classifier is predictor.classifier
    assert resources.get_predictor("colours:1", "haar") is predictor


def test_visitors_choose_among_detectors_that_need_no_download(registry, monkeypatch):
    set_settings(Settings(models=registry.folder, detector="haar"))
    detector = resources.get_predictor("colours:1").detector
    monkeypatch.delenv(resources.YUNET_ENV_VAR, raising=False)
    monkeypatch.setattr(resources, "yunet_in_cache", lambda: None)
    assert resources.available_detectors(detector) == ["haar"]
    monkeypatch.setenv(resources.YUNET_ENV_VAR, "yunet.onnx")
    assert resources.available_detectors(detector) == ["haar", "yunet"]


def test_the_apps_model_comes_first_and_its_title_has_no_path(registry, tmp_path):
    set_settings(Settings(model=str(tmp_path / "m"), models=registry.folder))
    first, *others = resources.list_versions()
    assert first.reference is None
    assert "/" not in first.title
    assert [other.title for other in others] == [*packaged_models(), "colours:2", "colours:1"]
    assert resources.get_predictor().card == first.card
    for other in others:
        assert resources.get_predictor(other.reference).card == other.card


def test_a_registered_model_with_the_name_of_a_packaged_one_is_distinct(tmp_path):
    registry = Registry(tmp_path / "models")
    write_bundle(registry.folder / "fer2013" / "1", name="fer2013")
    write_bundle(tmp_path / "m")
    set_settings(Settings(model=str(tmp_path / "m"), models=registry.folder, detector="haar"))
    others = {other.reference: other.card for other in resources.list_versions()[1:]}
    assert set(others) == {*packaged_models(), "fer2013:1"}
    assert others["fer2013"] != others["fer2013:1"]
    for reference, card in others.items():
        assert resources.get_predictor(reference).card == card


def test_a_model_name_means_the_same_as_in_fer_predict(tmp_path):
    registry = Registry(tmp_path / "models")
    write_bundle(registry.folder / "fer2013" / "1", name="fer2013")
    set_settings(Settings(model="fer2013", models=registry.folder, detector="haar"))
    first, *others = resources.list_versions()
    assert first.card == registry.load("fer2013").card
    # Packaged models can still be chosen.
    assert [other.reference for other in others] == packaged_models()
    assert resources.get_predictor("fer2013").card == others[0].card != first.card


def test_the_card_is_that_of_the_loaded_model(registry):
    """The alias may have moved in the registry since the app started."""
    registry.promote("colours:1")
    set_settings(Settings(model="colours:best", models=registry.folder, detector="haar"))
    assert resources.get_predictor().card.version == 1
    registry.promote("colours:2")
    first, *others = resources.list_versions()
    assert first.title == "colours:1"
    assert [other.title for other in others] == [*packaged_models(), "colours:2"]


def test_a_damaged_version_is_left_out(registry):
    (registry.folder / "colours" / "2" / CARD).write_text("{")
    set_settings(Settings(models=registry.folder))
    assert [version.title for version in resources.list_versions()] == [*packaged_models(), "colours:1"]


def test_an_unknown_model_is_an_error(tmp_path):
    set_settings(Settings(models=tmp_path / "none"))
    with pytest.raises(FerError, match="Did you mean 'fer2013'"):
        resources.get_predictor("fer2014")


def test_the_number_of_concurrent_computations_is_limited():
    running, maximum, lock = 0, 0, threading.Lock()

    def compute(_):
        nonlocal running, maximum
        with resources.compute_slot():
            with lock:
                running += 1
                maximum = max(maximum, running)
            time.sleep(0.01)
            with lock:
                running -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(compute, range(40)))
    assert maximum == available_cores()


def test_a_video_waits_for_a_slot_and_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(resources, "_VIDEO_SLOTS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(resources, "_POLL_SECONDS", 0.01)
    calls = []
    first, second = resources.video_slot(calls.append), resources.video_slot(lambda: calls.append("waiting"))
    first.__enter__()

    def cancel():
        raise InterruptedError

    with pytest.raises(InterruptedError), resources.video_slot(cancel):
        pytest.fail("two videos at a time")
    with ThreadPoolExecutor(1) as pool:
        entered = pool.submit(second.__enter__)
        while not calls:
            time.sleep(0.01)
        assert not entered.done()
        first.__exit__(None, None, None)
        entered.result(10)
    second.__exit__(None, None, None)
    assert set(calls) == {"waiting"}
    # The cancelled wait took no slot.
    with resources.video_slot(cancel):
        pass
