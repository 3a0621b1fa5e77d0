"""The video page, tested without a browser."""

import gc
import json
import threading
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import av
import pytest
from streamlit.testing.v1 import AppTest
from video_files import SquarePredictor, render_frame, write_video

pytest.importorskip("av", reason="the video page needs the extra app")
from fer.app.pages import video
from fer.app.video import Look
from fer.app.video_task import VideoSettings, VideoTask


def script():
    from fer.app.pages.video import page
    from fer.app.uploads import handle_errors

    with handle_errors():
        page()


def fake(predictor):
    """Return a replacement of `get_predictor`."""
    return lambda model=None, detector=None: predictor()


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(video, "get_predictor", fake(SquarePredictor))
    return AppTest.from_function(script, default_timeout=60).run()


@pytest.fixture
def crossing(tmp_path):
    return write_video(tmp_path / "a.mp4", [render_frame(index) for index in range(20)]).read_bytes()


def analyse(page, name, content):
    page.file_uploader[0].set_value((name, content, "video/mp4")).run()
    return finish(page)


def finish(page):
    """Wait for the end of the running task, and show its result."""
    assert page.session_state["video_task"].wait(60)
    return page.run()


def click(page, label):
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


def strips(page):
    """Return what the component of the strips was given."""
    (component,) = page.get("bidi_component")
    return json.loads(component.proto.json)


def page_text(page):
    return " ".join(element.value for kind in ("markdown", "caption", "info") for element in page.get(kind))


def test_a_video_is_analysed_shown_and_offered_for_download(page, crossing):
    analyse(page, "crossing.mp4", crossing)
    assert not page.exception
    assert not page.error
    assert "20 frames, 0.8 s, 2 faces" in page_text(page)
    faces = strips(page)["faces"]
    assert [(face["name"], face["summary"]) for face in faces] == [
        ("Face 1", "happy 100 % of 0.8 s"),
        ("Face 2", "sad 100 % of 0.8 s"),
    ]
    assert faces[0]["segments"] == [[0.0, 0.8, "happy", False]]
    assert faces[0]["thumbnail"].startswith("data:image/jpeg")
    assert len(page.get("video")) == 2
    downloads = [button.label for button in page.get("download_button")]
    assert downloads == ["Annotated video (MP4)", "Table (CSV)", "Table (JSONL)"]
    assert len(page.get("vega_lite_chart")) == 1


def test_the_code_of_the_page_runs(page, crossing, tmp_path, monkeypatch, capsys):
    analyse(page, "crossing.mp4", crossing)
    command, code = (block.value for block in page.code)
    assert command == "fer-predict crossing.mp4 --annotate annotated.mp4 --csv timeline.csv --all"
    (tmp_path / "crossing.mp4").write_bytes(crossing)
    monkeypatch.chdir(tmp_path)
    exec(code)
    assert "crossing.mp4: 20 frames" in capsys.readouterr().out
    assert (tmp_path / "annotated.mp4").stat().st_size > 0


def test_the_page_says_where_the_video_is_stored(page):
    assert "copy on disk is deleted" in page_text(page)
    assert "annotated copy stay in memory until you clear them" in page_text(page)


def test_a_waiting_video_shows_a_message_and_is_analysed_within_a_slot(page, crossing, monkeypatch):
    active, messages, is_free = [], [], threading.Event()
    monkeypatch.setattr("streamlit.progress", lambda fraction, text: messages.append(text))

    @contextmanager
    def video_slot(waiting):
        while not is_free.wait(0.01):
            waiting()
        active.append(True)
        yield
        active.pop()

    class CheckedPredictor(SquarePredictor):
        def detect(self, image):
            assert active
            return super().detect(image)

    monkeypatch.setattr(video, "video_slot", video_slot)
    monkeypatch.setattr(video, "get_predictor", fake(CheckedPredictor))
    page.file_uploader[0].set_value(("crossing.mp4", crossing, "video/mp4")).run()
    assert "waiting for its turn" in messages[-1]
    is_free.set()
    finish(page)
    assert not page.exception
    assert page.get("download_button")
    assert not active


def test_another_video_replaces_the_first(page, crossing, tmp_path):
    analyse(page, "one.mp4", crossing)
    other = write_video(
        tmp_path / "b.mp4", [render_frame(index, sad=False) for index in range(5)]
    ).read_bytes()
    page.file_uploader[0].set_value(("two.mp4", other, "video/mp4")).run()
    assert not page.get("download_button")
    finish(page)
    assert "5 frames, 0.2 s, 1 face" in page_text(page)


def test_the_sample_video_is_analysed_with_one_click(page, crossing, tmp_path, monkeypatch):
    (tmp_path / "sample.mp4").write_bytes(crossing)
    monkeypatch.setattr(video, "SAMPLE", tmp_path / "sample.mp4")
    click(page, "Try the sample video")
    finish(page)
    assert not page.exception
    assert "20 frames, 0.8 s, 2 faces" in page_text(page)
    click(page, "Clear")
    assert "20 frames" not in page_text(page)
    assert "video_source" not in page.session_state


def test_the_sample_video_is_small_and_has_sound():
    assert video.SAMPLE.stat().st_size < 300_000
    with av.open(str(video.SAMPLE)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]


class CountingPredictor(SquarePredictor):
    """Counts the frames of all predictors."""

    frames = 0

    def detect(self, image):
        type(self).frames += 1
        return super().detect(image)


def slider(page, label):
    (found,) = [slider for slider in page.slider if slider.label == label]
    return found


def test_smoothing_and_threshold_apply_at_once_without_the_model(page, crossing, monkeypatch):
    CountingPredictor.frames = 0
    monkeypatch.setattr(video, "get_predictor", fake(CountingPredictor))
    analyse(page, "crossing.mp4", crossing)
    first = page.session_state["video_analysis"].analysis
    slider(page, "Confidence threshold").set_value(95).run()
    # Before the annotated copy is written again.
    assert strips(page)["faces"][0]["segments"] == [[0.0, 0.8, "happy", True]]
    assert strips(page)["faces"][0]["summary"] == "happy? (uncertain) 100 % of 0.8 s"
    finish(page)
    second = page.session_state["video_analysis"].analysis
    assert second.video != first.video
    assert second.frames is first.frames
    assert CountingPredictor.frames == 20
    slider(page, "Smoothing").set_value(0.0).run()
    finish(page)
    assert page.session_state["video_analysis"].analysis.look.smooth == 0.0
    assert CountingPredictor.frames == 20
    command, _ = (block.value for block in page.code)
    assert "--threshold 0.95" in command
    assert "--smooth 0" in command


def test_another_detector_analyses_the_video_again_without_an_upload(page, crossing, monkeypatch):
    CountingPredictor.frames = 0
    chosen = []

    def get_predictor(model=None, detector=None):
        chosen.append(detector)
        return CountingPredictor()

    monkeypatch.setattr(video, "get_predictor", get_predictor)
    monkeypatch.setattr(video, "available_detectors", lambda current: ["yunet", "haar"])
    analyse(page, "crossing.mp4", crossing)
    page.segmented_control[0].set_value("haar").run()
    finish(page)
    assert not page.exception
    assert CountingPredictor.frames == 40
    assert chosen[-1] == "haar"
    assert page.get("download_button")
    assert "--detector haar" in page.code[0].value


def test_a_cancelled_analysis_is_started_again_by_a_button(slow, crossing):
    slow.file_uploader[0].set_value(("crossing.mp4", crossing, "video/mp4")).run()
    task = slow.session_state["video_task"]
    click(slow, "Cancel")
    SlowPredictor.released.set()
    assert task.wait(60)
    slow.run()
    assert "video_task" not in slow.session_state
    click(slow, "Analyse the video")
    finish(slow)
    assert "20 frames, 0.8 s, 2 faces" in page_text(slow)


def several_pages():
    import streamlit as st

    from fer.app.pages.video import page

    if st.checkbox("another page"):
        st.markdown("away")
    else:
        page()


class SlowPredictor(SquarePredictor):
    """Waits before the first frame until it is released."""

    released = threading.Event()

    def detect(self, image):
        assert self.released.wait(60)
        return super().detect(image)


@pytest.fixture
def slow(monkeypatch):
    """A page next to another one, and a predictor that waits until it is released."""
    SlowPredictor.released.clear()
    monkeypatch.setattr(video, "get_predictor", fake(SlowPredictor))
    yield AppTest.from_function(several_pages, default_timeout=60).run()
    SlowPredictor.released.set()


def test_an_analysis_goes_on_while_another_page_is_shown(slow, crossing):
    slow.file_uploader[0].set_value(("crossing.mp4", crossing, "video/mp4")).run()
    slow.checkbox[0].check().run()
    SlowPredictor.released.set()
    assert slow.session_state["video_task"].wait(60)
    slow.checkbox[0].uncheck().run()
    assert "20 frames, 0.8 s, 2 faces" in page_text(slow)
    slow.checkbox[0].check().run()
    slow.checkbox[0].uncheck().run()
    assert "20 frames, 0.8 s, 2 faces" in page_text(slow)
    click(slow, "Clear")
    assert "20 frames" not in page_text(slow)
    assert "video_task" not in slow.session_state


def test_a_removed_video_ends_its_analysis(slow, crossing):
    slow.file_uploader[0].set_value(("crossing.mp4", crossing, "video/mp4")).run()
    task = slow.session_state["video_task"]
    slow.file_uploader[0].set_value(None)
    slow.run()
    SlowPredictor.released.set()
    assert task.wait(60)
    assert task.result is None
    assert "video_task" not in slow.session_state


def test_a_session_that_is_deleted_ends_its_analysis(crossing):
    """The thread has only a weak reference to the task."""
    SlowPredictor.released.clear()
    settings = VideoSettings("1", None, None, Look())
    task = VideoTask(SlowPredictor(), nullcontext, lambda _: nullcontext(), settings, "a.mp4", crossing)
    thread = task._thread
    del task
    gc.collect()
    SlowPredictor.released.set()
    thread.join(60)
    assert not thread.is_alive()


def test_an_internal_error_is_logged_and_shown(page, crossing, monkeypatch, caplog):
    monkeypatch.setattr(video, "get_predictor", lambda *_: SimpleNamespace(card=None, detector=None))
    analyse(page, "crossing.mp4", crossing)
    assert "An internal error occurred" in page.error[0].value
    assert "AttributeError" in caplog.text


def test_a_video_without_faces(page, tmp_path):
    empty = write_video(tmp_path / "b.mp4", [render_frame(0, happy=False, sad=False)] * 3).read_bytes()
    analyse(page, "wall.mp4", empty)
    assert "No face was detected" in page_text(page)
    assert not page.get("vega_lite_chart")


def test_a_truncated_video_is_rejected_and_the_session_still_works(page, crossing):
    analyse(page, "cut.mp4", crossing[: len(crossing) // 2])
    assert "truncated" in page.error[0].value
    # The message contains no folder of the server.
    assert "/" not in page.error[0].value
    assert not page.exception
    analyse(page, "complete.mp4", crossing)
    assert not page.error
    assert page.get("download_button")


@pytest.mark.parametrize("content", [b"", b"not a video, only text", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_not_a_video_is_rejected(page, content):
    analyse(page, "<img src=x>.mp4", content)
    assert "expected a video" in page.error[0].value
    # Escaped for Markdown.
    assert page.error[0].value.startswith("\\<img src=x\\>")
    assert not page.exception


def test_a_long_video_is_rejected(page, tmp_path):
    long = write_video(tmp_path / "b.mp4", [render_frame(0)] * 130, rate=1.0).read_bytes()
    analyse(page, "long.mp4", long)
    assert "120 seconds" in page.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "text"),
    [
        (1, 300, 0.0, "Frame 1 of 300"),
        (151, 301, 2.0, "Frame 151 of 301, about 0:02 left"),
        (7200, 7000, 60.0, "Frame 7,200 of 7,000, about 0:00 left"),
        (50, None, 3.0, "Frame 50"),
    ],
)
def test_progress_shows_the_time_left(done, total, elapsed, text):
    assert video.progress_text(done, total, elapsed) == text
