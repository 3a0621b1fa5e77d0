"""The page for films, driven without a browser."""

from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from films import SquareFinder, scene, write_film
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

pytest.importorskip("av", reason="the video page needs the extra app")
from fer.app.views import video
from fer.video.summary import Summary


def script():
    from fer.app.safety import explained
    from fer.app.views.video import page

    with explained():
        page()


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(video, "predictor", SquareFinder)
    return AppTest.from_function(script, default_timeout=60).run()


@pytest.fixture
def crossing(tmp_path):
    return write_film(tmp_path / "a.mp4", [scene(index) for index in range(20)]).read_bytes()


def judged(page, name, content):
    page.file_uploader[0].set_value((name, content, "video/mp4")).run()
    return page.button[0].click().run()


def words(page):
    return " ".join(element.value for kind in ("markdown", "caption", "info") for element in page.get(kind))


def test_a_film_is_judged_shown_and_offered(page, crossing):
    judged(page, "crossing.mp4", crossing)
    assert not page.exception
    assert not page.error
    assert "20 frames, 0:01 minutes, 2 faces" in words(page)
    assert r"**Face 1**: happy in 100 % of 20 frames" in words(page)
    downloads = [button.label for button in page.get("download_button")]
    assert downloads == ["Annotated film (MP4)", "Table (CSV)", "Table (JSONL)"]
    assert len(page.get("vega_lite_chart")) == 2


def test_where_the_film_stays_is_told(page):
    assert "copy on disk is deleted" in words(page)
    assert "annotated copy stay in memory until you remove the film" in words(page)


def test_films_are_judged_in_turn_and_who_waits_is_told(page, crossing, monkeypatch):
    inside, told = [], []

    @contextmanager
    def film_turn(waiting):
        monkeypatch.setattr(DeltaGenerator, "progress", lambda bar, share, words: told.append(words))
        waiting()
        inside.append(True)
        yield
        inside.pop()

    class Watched(SquareFinder):
        def find(self, picture):
            assert inside
            return super().find(picture)

    monkeypatch.setattr(video, "film_turn", film_turn)
    monkeypatch.setattr(video, "predictor", Watched)
    judged(page, "crossing.mp4", crossing)
    assert not page.exception
    assert "yours comes after them" in told[0]
    assert page.get("download_button")
    assert not inside


def test_another_film_takes_the_place_of_the_first(page, crossing, tmp_path):
    judged(page, "one.mp4", crossing)
    other = write_film(tmp_path / "b.mp4", [scene(index, sad=False) for index in range(5)]).read_bytes()
    page.file_uploader[0].set_value(("two.mp4", other, "video/mp4")).run()
    assert not page.get("download_button")
    page.button[0].click().run()
    assert "5 frames, 0:00 minutes, 1 face" in words(page)


def test_a_film_without_faces(page, tmp_path):
    empty = write_film(tmp_path / "b.mp4", [scene(0, happy=False, sad=False)] * 3).read_bytes()
    judged(page, "wall.mp4", empty)
    assert "No face was found" in words(page)
    assert not page.get("vega_lite_chart")


def test_a_cut_off_film_is_refused_and_the_session_goes_on(page, crossing):
    judged(page, "cut.mp4", crossing[: len(crossing) // 2])
    assert "cut" in page.error[0].value
    assert "/" not in page.error[0].value  # no folder of the server
    assert not page.exception
    judged(page, "whole.mp4", crossing)
    assert not page.error
    assert page.get("download_button")


@pytest.mark.parametrize("content", [b"", b"no film at all, just words", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_no_film_is_refused(page, content):
    judged(page, "<img src=x>.mp4", content)
    assert "expected a film" in page.error[0].value
    assert page.error[0].value.startswith("\\<img src=x\\>")  # shown, not obeyed
    assert not page.exception


def test_a_long_film_is_refused(page, tmp_path):
    long = write_film(tmp_path / "b.mp4", [scene(0)] * 130, rate=1.0).read_bytes()
    judged(page, "long.mp4", long)
    assert "2:00 minutes" in page.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "text"),
    [
        (1, 300, 0.0, "Frame 1 of 300"),
        (151, 301, 2.0, "Frame 151 of 301, about 0:02 left"),
        (7200, 7000, 60.0, "Frame 7,200 of 7,000, about 0:00 left"),
        (50, None, 3.0, "Frame 50"),
    ],
)
def test_progress_tells_the_time_left(done, total, elapsed, text):
    assert video.progress_text(done, total, elapsed) == text


def test_faces_that_are_no_longer_held_are_not_shown():
    summary = Summary("film", faces={7: Counter(happy=3), 9: Counter(sad=2)}, passed=1000)
    judged = SimpleNamespace(summary=summary, history=SimpleNamespace(faces=lambda: [1, 7, 2, 9]))
    assert video._faces(judged) == [7, 9]


def test_shares_of_a_face():
    counts = Counter(happy=80, neutral=15, sad=4, fear=1)
    assert video.shares(counts) == "happy in 80 % of 100 frames, neutral in 15 %, sad in 4 %"
