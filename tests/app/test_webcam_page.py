"""The webcam page, tested without a browser or a camera."""

import re
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest
from video_files import SquarePredictor, render_frame

pytest.importorskip("streamlit_webrtc", reason="the webcam page needs the extra app")
from fer.app.components import camera as camera_component
from fer.app.live import LiveSession
from fer.app.pages import webcam
from fer.app.settings import Settings, set_settings

PREDICTOR = SquarePredictor()
OPTIONS = SimpleNamespace(predictor=lambda: PREDICTOR, uncertain_below=None, smooth=0.5)


def script():
    from fer.app.pages.webcam import page
    from fer.app.uploads import handle_errors

    with handle_errors():
        page()


class FakeStreamer:
    """Replaces ``webrtc_streamer`` and stores its options."""

    def __init__(self, playing):
        processor = SimpleNamespace(failed=False) if playing else None
        self.context = SimpleNamespace(state=SimpleNamespace(playing=playing), video_processor=processor)

    def __call__(self, key, **options):
        self.options = options
        return self.context


@pytest.fixture
def live():
    """A session with two faces."""
    session = LiveSession(PREDICTOR, nullcontext)
    for index in range(4):
        session.process(render_frame(index), index / 10)
    return session


def open_page(monkeypatch, camera, live=None):
    monkeypatch.setattr(camera_component, "webrtc_streamer", camera)
    monkeypatch.setattr(webcam, "get_predictor", lambda: PREDICTOR)
    monkeypatch.setattr(webcam, "choose_model", lambda smoothing: OPTIONS)
    test = AppTest.from_function(script, default_timeout=60)
    if live is not None:
        test.session_state["live"] = live
    return test.run()


def page_text(page):
    return " ".join(element.value for kind in ("markdown", "caption", "info") for element in page.get(kind))


def button(page, label):
    return next(button for button in page.button if button.label == label)


def test_without_camera(monkeypatch):
    page = open_page(monkeypatch, FakeStreamer(playing=False))
    assert not page.exception
    assert "asks for access to the camera" in page_text(page)
    assert [button.label for button in page.button] == []


def test_no_ice_server_is_used_by_default(monkeypatch):
    camera = FakeStreamer(playing=False)
    open_page(monkeypatch, camera)
    assert camera.options["rtc_configuration"] == {"iceServers": []}
    assert camera.options["media_stream_constraints"]["audio"] is False
    set_settings(Settings(ice_servers=("stun:stun.example:3478",)))
    open_page(monkeypatch, camera)
    assert camera.options["rtc_configuration"] == {"iceServers": [{"urls": ["stun:stun.example:3478"]}]}


def test_faces_frame_rate_and_chart_are_shown(monkeypatch, live):
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    assert not page.exception
    assert "10 frames per second" in page_text(page)
    assert "4 frames analysed" in page_text(page)
    assert "**Face 1**" in page_text(page)
    assert "**Face 2**" in page_text(page)
    assert page.header[0].value == "Last 30 seconds"


def test_recording_from_start_to_download(monkeypatch, live):
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    assert disabled(page) == [False, True, True]
    button(page, "Start recording").click().run()
    live.process(render_frame(5), 1.0)
    page.run()
    assert "2 rows so far" in page_text(page)
    assert disabled(page) == [True, False, True]
    button(page, "Stop recording").click().run()
    assert not page.exception
    assert "2 rows recorded" in page_text(page)
    assert disabled(page) == [False, True, False]


def disabled(page):
    """Return whether the buttons are disabled that start, stop and download a recording.

    All are always there: a button that replaced another would move the row away under a click.
    """
    (download,) = (button for button in page.get("download_button") if button.label == "Download CSV")
    return [
        *(button(page, f"{verb} recording").disabled for verb in ("Start", "Stop")),
        download.proto.disabled,
    ]


def test_toggles_set_the_options_of_the_session(monkeypatch, live):
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    for expected in ((False, False, True), (True, True, False)):
        for toggle in page.toggle:
            toggle.set_value(not toggle.value)
        page.run()
        assert (live.mirror, live.bars, live.points) == expected


def test_options_survive_leaving_the_page(monkeypatch, live):
    live.mirror = False
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    assert [toggle.value for toggle in page.toggle] == [False, True, False]


def run_fragment():
    import streamlit as st

    show, *arguments = st.session_state["fragment"]
    show(*arguments)


def test_a_camera_that_fails_later_is_reported_by_the_fragment(monkeypatch, live):
    fragments, camera = {}, FakeStreamer(playing=True)
    # No frames have arrived when the page is built.
    camera.context.video_processor = None

    def fragment(show, run_every=None):
        return lambda *arguments: fragments.update({(show.__name__, run_every): (show, *arguments)})

    monkeypatch.setattr(webcam.st, "fragment", fragment)
    open_page(monkeypatch, camera, live)
    monkeypatch.undo()
    fragment_page = AppTest.from_function(run_fragment, default_timeout=60)
    fragment_page.session_state["fragment"] = fragments["_show_current", 1.0]
    assert not fragment_page.run().error
    camera.context.video_processor = SimpleNamespace(failed=False)
    assert not fragment_page.run().error
    camera.context.video_processor.failed = True
    assert "cannot be analysed" in fragment_page.run().error[0].value
    camera.context.video_processor.failed = False
    assert not fragment_page.run().error


def test_the_chart_is_alone_in_a_container(monkeypatch, live):
    """If Streamlit removes the fragment for a moment, no element moves up into its place."""
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    blocks = [block for block in page.main.children.values() if hasattr(block, "children")]
    (container,) = (block for block in blocks if "Last 30 seconds" in [x.value for x in block.get("header")])
    (fragment,) = container.children.values()
    assert [element.value for element in fragment.get("header")] == ["Last 30 seconds"]
    assert len(fragment.children) > 1


def test_no_face_in_front_of_the_camera(monkeypatch):
    live = LiveSession(PREDICTOR, nullcontext)
    live.process(render_frame(0, happy=False, sad=False), 0.0)
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    assert "No face detected" in page_text(page)
    # There is no chart.
    assert [header.value for header in page.header] == ["Record", "Save a frame"]


def test_an_empty_recording_is_hidden_while_the_camera_is_stopped(monkeypatch):
    live = LiveSession(PREDICTOR, nullcontext)
    live.start_recording()
    page = open_page(monkeypatch, FakeStreamer(playing=False), live)
    assert "Record" not in [header.value for header in page.header]
    assert not page.button
    assert not page.caption


def test_the_page_without_a_camera_says_what_will_happen(monkeypatch):
    text = page_text(open_page(monkeypatch, FakeStreamer(playing=False)))
    assert "What happens when you start the camera" in text
    assert "Nothing is stored unless" in text


def test_a_summary_is_shown_when_the_camera_stops(monkeypatch, live):
    page = open_page(monkeypatch, FakeStreamer(playing=False), live)
    assert page.header[0].value == "Summary"
    assert "0.3 s, 4 frames analysed, 2 faces" in page_text(page)
    assert "**Face 1**: happy 100 % of 0.4 s" in page_text(page)


def test_the_latency_is_shown(monkeypatch, live):
    assert re.search(r"\d+ ms per frame", page_text(open_page(monkeypatch, FakeStreamer(playing=True), live)))


def test_a_camera_without_frames_names_the_firewall(monkeypatch):
    live = LiveSession(PREDICTOR, nullcontext)
    assert "TURN server" in page_text(open_page(monkeypatch, FakeStreamer(playing=True), live))


def test_a_frame_is_saved_downloaded_and_deleted(monkeypatch, live):
    page = open_page(monkeypatch, FakeStreamer(playing=True), live)
    # All buttons are there from the start: the row does not move under a click.
    assert (download_of_frame(page).disabled, button(page, "Delete").disabled) == (True, True)
    button(page, "Save this frame").click().run()
    assert not page.exception
    assert (download_of_frame(page).disabled, button(page, "Delete").disabled) == (False, False)
    assert live.state().saved is not None
    button(page, "Delete").click().run()
    assert (download_of_frame(page).disabled, button(page, "Delete").disabled) == (True, True)
    assert live.state().saved is None


def download_of_frame(page):
    (element,) = [one for one in page.get("download_button") if one.label == "Download JPEG"]
    return element.proto


def test_a_saved_frame_stays_after_the_camera_stops(monkeypatch, live):
    live.save_frame()
    page = open_page(monkeypatch, FakeStreamer(playing=False), live)
    assert button(page, "Save this frame").disabled
    assert not download_of_frame(page).disabled


def test_threshold_and_smoothing_of_the_sliders_are_applied(monkeypatch):
    monkeypatch.setattr(camera_component, "webrtc_streamer", FakeStreamer(playing=True))
    page = AppTest.from_function(script, default_timeout=60).run()
    threshold, smoothing = page.slider
    configured = []
    monkeypatch.setattr(LiveSession, "configure", lambda self, *arguments: configured.append(arguments[1:]))
    threshold.set_value(90)
    smoothing.set_value(2.0)
    page.run()
    assert not page.exception
    assert configured == [(0.9, 2.0)]
