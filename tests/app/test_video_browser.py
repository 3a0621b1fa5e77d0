"""The video page in Chromium."""

import csv
import re

import pytest
from app_server import WIDE, wait_until_rendered
from fake_camera import view
from sound_video import write_sound_video
from video_files import write_video

# Milliseconds.
TIMEOUT = 60_000
# Plays the annotated copy; the original follows.
_PLAY = """async () => {
    const players = [...document.querySelectorAll('video')];
    const annotated = players[1];
    annotated.muted = true;
    await annotated.play();
    await new Promise(done => annotated.addEventListener('ended', done, {once: true}));
    if (players[0].played.length == 0) throw new Error('the original did not follow');
    return players.map(player =>
        [player.duration, player.videoWidth, player.error, player.webkitAudioDecodedByteCount]);
}"""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of 1.5 s with a happy and a surprised face, and sound; browsers do not play its codec."""
    path = tmp_path_factory.mktemp("videos") / "two faces.mp4"
    images = [view(index, "happy", "surprise") for index in range(36)]
    return write_sound_video(path, images, codec="mpeg4", fps=24)


@pytest.fixture
def page(browser_page, app_url):
    browser_page.set_viewport_size(WIDE | {"height": 1700})
    browser_page.goto(f"{app_url}/video")
    browser_page.get_by_text("Choose a video").wait_for(timeout=TIMEOUT)
    wait_until_rendered(browser_page)
    return browser_page


def analyse(page, file):
    page.locator("input[type=file]").set_input_files(file)


def positions(page):
    """Return the time of each player in seconds, the original first."""
    return page.evaluate("[...document.querySelectorAll('video')].map(player => player.currentTime)")


def test_a_video_is_analysed_played_and_downloaded(page, video, shots):
    analyse(page, video)
    track = page.get_by_role("slider", name="Face 1: position in the video")
    track.wait_for(timeout=TIMEOUT)
    assert page.get_by_text("happy 100 % of 1.5 s").count() == 1
    assert page.get_by_text("surprise 100 % of 1.5 s").count() == 1
    page.wait_for_function(
        "[...document.querySelectorAll('video')].filter(player => player.readyState >= 2).length == 2",
        timeout=TIMEOUT,
    )
    # A click on a strip, and keys, move both players.
    width = track.bounding_box()["width"]
    track.click(position={"x": 0.6 * width, "y": 10})
    assert positions(page) == pytest.approx([0.9, 0.9], abs=0.02)
    assert track.get_attribute("aria-valuetext") == "0:00.9, happy"
    track.press("Home")
    assert positions(page) == pytest.approx([0, 0], abs=0.01)
    track.press("ArrowRight")
    assert positions(page) == pytest.approx([1, 1], abs=0.01)
    # They stay there while the copy is written again, without an upload and without the model.
    before = page.evaluate("document.querySelectorAll('video')[1].src")
    page.locator(".st-key-options_box summary").click()
    threshold = page.get_by_role("slider", name="Confidence threshold")
    threshold.press("End")
    page.get_by_text("happy? (uncertain) 100 % of 1.5 s").wait_for(timeout=TIMEOUT)
    page.wait_for_function(f"document.querySelectorAll('video')[1].src != '{before}'", timeout=TIMEOUT)
    page.wait_for_function("document.querySelectorAll('video')[1].currentTime == 1", timeout=TIMEOUT)
    assert positions(page) == pytest.approx([1, 1], abs=0.01)
    # Both play, the annotated copy with sound.
    original, annotated = page.evaluate(_PLAY)
    for seconds, width, error, _ in (original, annotated):
        assert (seconds, width, error) == (pytest.approx(1.5, abs=0.1), 640, None)
    assert annotated[3] > 0
    track.press("Home")
    page.screenshot(path=shots / "video.png")
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    assert download.value.suggested_filename == "two faces_emotions.csv"
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 36
    assert {row["label"] for row in rows} == {"happy", "surprise"}


def test_an_analysis_can_be_cancelled(page, tmp_path, shots):
    long = write_video(tmp_path / "long.mp4", [view(index, "happy") for index in range(500)])
    analyse(page, long)
    page.get_by_text(re.compile(r"Frame \d+ of 500, about")).wait_for(timeout=TIMEOUT)
    page.screenshot(path=shots / "video_progress.png")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Analyse the video").wait_for(timeout=TIMEOUT)
    # The progress bar disappears when the script's run ends.
    page.get_by_text(re.compile(r"Frame \d")).wait_for(state="hidden", timeout=TIMEOUT)


def test_an_analysis_goes_on_while_another_page_is_shown(page, video):
    analyse(page, video)
    page.get_by_role("button", name="Clear", exact=True).wait_for(timeout=TIMEOUT)
    page.get_by_role("link", name="Model card").first.click()
    page.get_by_role("heading", name="Model card").wait_for(timeout=TIMEOUT)
    page.get_by_role("link", name="Video").click()
    page.get_by_text("Emotions over time").wait_for(timeout=TIMEOUT)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_text("Emotions over time").wait_for(state="hidden", timeout=TIMEOUT)


def test_damaged_foreign_and_long_videos_are_rejected_with_a_message(page, video, tmp_path, shots):
    long = write_video(tmp_path / "b.mp4", [view(0)] * 140, rate=1.0)
    rejected = {
        "cut.mp4": (video.read_bytes()[:4000], "truncated"),
        "text.mp4": (b"not a video, only text", "another file type"),
        "long.mp4": (long.read_bytes(), "at most 120 seconds"),
    }
    for name, (content, reason) in rejected.items():
        analyse(page, {"name": name, "mimeType": "video/mp4", "buffer": content})
        message = page.get_by_role("alert").filter(has_text=reason)
        message.wait_for(timeout=TIMEOUT)
        assert message.inner_text().startswith(name)
        # The message contains no folder of the server.
        assert not re.search(r"/\w", message.inner_text())
    page.screenshot(path=shots / "video_rejected.png")
    analyse(page, video)
    # The session still works.
    page.get_by_text("Emotions over time").wait_for(timeout=TIMEOUT)
