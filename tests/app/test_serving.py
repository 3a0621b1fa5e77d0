"""One model and one detector a process, versions to choose from, and so many computations at a time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from colour_bundle import write_bundle

from fer.app import serving
from fer.app.settings import Settings, use
from fer.bundle.files import CARD, read_bundle
from fer.bundle.find import shipped
from fer.bundle.registry import Registry
from fer.errors import FerError
from fer.predict import cores


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path / "models")
    bundle = read_bundle(write_bundle(tmp_path / "m"))
    for _ in range(2):
        made.register(bundle)
    return made


def test_all_visitors_share_a_model_and_a_detector(registry):
    use(Settings(models=registry.folder, detector="haar"))
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: serving.predictor("colours:1"), range(16)))
    assert len({id(one) for one in told}) == 1
    assert serving.predictor("colours:2").detector is told[0].detector
    assert serving.predictor("colours:2") is not told[0]


def test_the_apps_own_model_comes_first_and_is_named_without_a_path(registry, tmp_path):
    use(Settings(model=str(tmp_path / "m"), models=registry.folder))
    own, *others = serving.versions()
    assert own.reference is None
    assert "/" not in own.title
    assert [other.title for other in others] == [*shipped(), "colours:2", "colours:1"]
    assert serving.predictor().card == own.card
    for other in others:
        assert serving.predictor(other.reference).card == other.card


def test_a_registered_model_of_the_same_name_does_not_answer_for_the_shipped_one(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.register(read_bundle(write_bundle(tmp_path / "m", name="fer2013")))
    use(Settings(model=str(tmp_path / "m"), models=registry.folder, detector="haar"))
    others = {other.reference: other.card for other in serving.versions()[1:]}
    assert set(others) == {*shipped(), "fer2013:1"}
    assert others["fer2013"] != others["fer2013:1"]
    for reference, card in others.items():
        assert serving.predictor(reference).card == card


def test_the_model_that_the_app_is_started_with_is_the_one_that_fer_predict_takes_by_that_name(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.register(read_bundle(write_bundle(tmp_path / "m", name="fer2013")))
    use(Settings(model="fer2013", models=registry.folder, detector="haar"))
    own, *others = serving.versions()
    assert own.card == registry.find("fer2013").card
    assert [other.reference for other in others] == shipped()  # those of the package can still be chosen
    assert serving.predictor("fer2013").card == others[0].card != own.card


def test_the_card_shown_is_that_of_the_model_that_answers(registry):
    """Whatever the registry has made of its name since the app was started."""
    registry.promote("colours:1")
    use(Settings(model="colours:best", models=registry.folder, detector="haar"))
    assert serving.predictor().card.version == 1
    registry.promote("colours:2")
    own, *others = serving.versions()
    assert own.title == "colours:1"
    assert [other.title for other in others] == [*shipped(), "colours:2"]


def test_a_damaged_version_hides_no_other(registry):
    (registry.folder / "colours" / "2" / CARD).write_text("{")
    use(Settings(models=registry.folder))
    assert [version.title for version in serving.versions()] == [*shipped(), "colours:1"]


def test_a_model_that_is_not_there_is_an_error_to_be_shown(tmp_path):
    use(Settings(models=tmp_path / "none"))
    with pytest.raises(FerError, match="Did you mean 'fer2013'"):
        serving.predictor("fer2014")


def test_only_so_many_compute_at_a_time():
    running, most, lock = 0, 0, threading.Lock()

    def compute(_):
        nonlocal running, most
        with serving.turn():
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(compute, range(40)))
    assert most == cores()


def test_a_film_waits_until_another_has_ended_and_may_give_up(monkeypatch):
    monkeypatch.setattr(serving, "_FILMS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(serving, "_LOOKS_UP", 0.01)
    told = []
    first, second = serving.film_turn(told.append), serving.film_turn(lambda: told.append("waiting"))
    first.__enter__()

    def give_up():
        raise InterruptedError

    with pytest.raises(InterruptedError), serving.film_turn(give_up):
        pytest.fail("two films at a time")
    with ThreadPoolExecutor(1) as pool:
        entered = pool.submit(second.__enter__)
        while not told:
            time.sleep(0.01)
        assert not entered.done()
        first.__exit__(None, None, None)
        entered.result(10)
    second.__exit__(None, None, None)
    assert set(told) == {"waiting"}
    with serving.film_turn(give_up):  # who gave up took nobody's turn
        pass
