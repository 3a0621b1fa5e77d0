"""The webcam page, driven without a browser or a camera."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from films import SquareFinder, scene
from streamlit.testing.v1 import AppTest

pytest.importorskip("streamlit_webrtc", reason="the webcam page needs the extra app")
from fer.app.live import LiveSession
from fer.app.settings import Settings, use
from fer.app.views import webcam


def script():
    from fer.app.safety import explained
    from fer.app.views.webcam import page

    with explained():
        page()


class Camera:
    """Stands in for streamlit-webrtc, and remembers how it was called."""

    def __init__(self, playing):
        processor = SimpleNamespace(failed=False) if playing else None
        self.context = SimpleNamespace(state=SimpleNamespace(playing=playing), video_processor=processor)

    def __call__(self, key, **options):
        self.options = options
        return self.context


@pytest.fixture
def live():
    """A session that has seen two faces."""
    session = LiveSession(SquareFinder(), nullcontext)
    for index in range(4):
        session.process(scene(index), index / 10)
    return session


def opened(monkeypatch, camera, live=None):
    monkeypatch.setattr(webcam, "webrtc_streamer", camera)
    monkeypatch.setattr(webcam, "predictor", SquareFinder)
    test = AppTest.from_function(script, default_timeout=60)
    if live is not None:
        test.session_state["live"] = live
    return test.run()


def words(page):
    return " ".join(element.value for kind in ("markdown", "caption", "info") for element in page.get(kind))


def button(page, label):
    return next(button for button in page.button if button.label == label)


def test_before_the_camera_is_on(monkeypatch):
    page = opened(monkeypatch, Camera(playing=False))
    assert not page.exception
    assert "Start the camera" in words(page)
    assert [button.label for button in page.button] == []


def test_needs_no_server_of_others_unless_told(monkeypatch):
    camera = Camera(playing=False)
    opened(monkeypatch, camera)
    assert camera.options["rtc_configuration"] == {"iceServers": []}
    assert camera.options["media_stream_constraints"]["audio"] is False
    use(Settings(ice_servers=("stun:stun.example:3478",)))
    opened(monkeypatch, camera)
    assert camera.options["rtc_configuration"] == {"iceServers": [{"urls": ["stun:stun.example:3478"]}]}


def test_faces_rate_and_course_are_shown(monkeypatch, live):
    page = opened(monkeypatch, Camera(playing=True), live)
    assert not page.exception
    assert "10 frames a second" in words(page)
    assert "4 looked at" in words(page)
    assert "**Face 1**" in words(page)
    assert "**Face 2**" in words(page)
    assert page.subheader[0].value == "The last 30 seconds"


def test_recording_from_start_to_download(monkeypatch, live):
    page = opened(monkeypatch, Camera(playing=True), live)
    button(page, "Start recording").click().run()
    live.process(scene(5), 1.0)
    page.run()
    assert "2 rows so far" in words(page)
    button(page, "Stop recording").click().run()
    assert not page.exception
    assert "2 rows recorded" in words(page)
    assert [found.label for found in page.get("download_button")] == ["Download CSV"]


def test_what_is_drawn_can_be_chosen(monkeypatch, live):
    page = opened(monkeypatch, Camera(playing=True), live)
    for wanted in ((False, False, True), (True, True, False)):
        for toggle in page.toggle:
            toggle.set_value(not toggle.value)
        page.run()
        assert (live.mirror, live.bars, live.points) == wanted


def test_leaving_the_page_does_not_undo_what_was_chosen(monkeypatch, live):
    live.mirror = False
    page = opened(monkeypatch, Camera(playing=True), live)
    assert [toggle.value for toggle in page.toggle] == [False, True, False]


def part():
    import streamlit as st

    show, *arguments = st.session_state["part"]
    show(*arguments)


def test_a_camera_whose_pictures_fail_later_is_told_by_the_part_that_is_renewed(monkeypatch, live):
    parts, camera = {}, Camera(playing=True)
    camera.context.video_processor = None  # pictures do not yet flow when the page is made

    def fragment(show, run_every):
        return lambda *arguments: parts.update({(show.__name__, run_every): (show, *arguments)})

    monkeypatch.setattr(webcam.st, "fragment", fragment)
    opened(monkeypatch, camera, live)
    monkeypatch.undo()
    renewed = AppTest.from_function(part, default_timeout=60)
    renewed.session_state["part"] = parts["_figures", 1.0]
    assert not renewed.run().error
    camera.context.video_processor = SimpleNamespace(failed=False)
    assert not renewed.run().error
    camera.context.video_processor.failed = True
    assert "cannot be looked at" in renewed.run().error[0].value
    camera.context.video_processor.failed = False
    assert not renewed.run().error


def test_nobody_before_the_camera(monkeypatch):
    live = LiveSession(SquareFinder(), nullcontext)
    live.process(scene(0, happy=False, sad=False), 0.0)
    page = opened(monkeypatch, Camera(playing=True), live)
    assert "No face in sight" in words(page)
    assert len(page.subheader) == 1  # to record; there is no course of nobody
