"""The page for films in Chromium."""

import csv
import re

import pytest
from drawn_camera import view
from films import write_film
from serving_app import WIDE, wait_until_drawn

pytest.importorskip("av", reason="the video page needs the extra app")
PATIENCE = 60_000  # milliseconds
_PLAYED = """async () => {
    const video = document.querySelector('video');
    video.muted = true;
    await video.play();
    await new Promise(done => video.addEventListener('ended', done, {once: true}));
    return [video.duration, video.videoWidth, video.error];
}"""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A second and a half of a happy and a surprised face."""
    path = tmp_path_factory.mktemp("films") / "two faces.mp4"
    return write_film(path, [view(index, "happy", "surprise") for index in range(36)], rate=24)


@pytest.fixture
def page(browser_page, app_url):
    browser_page.set_viewport_size(WIDE | {"height": 1700})
    browser_page.goto(f"{app_url}/video")
    browser_page.get_by_text("Choose a film").wait_for(timeout=PATIENCE)
    wait_until_drawn(browser_page)
    return browser_page


def judge(page, file):
    page.locator("input[type=file]").set_input_files(file)
    find = page.get_by_role("button", name="Find the emotions")
    find.wait_for(timeout=PATIENCE)
    wait_until_drawn(page)
    find.click()


def test_a_film_is_judged_played_and_taken_home(page, film, shots):
    judge(page, film)
    page.get_by_text("Emotions over time").wait_for(timeout=PATIENCE)
    assert page.get_by_text("happy in 100 %").count() == page.get_by_text("surprise in 100 %").count() == 1
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=PATIENCE)
    seconds, width, error = page.evaluate(_PLAYED)
    assert (seconds, width, error) == (pytest.approx(1.5, abs=0.1), 640, None)
    page.screenshot(path=shots / "video.png")
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    assert download.value.suggested_filename == "two faces_emotions.csv"
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 36
    assert {row["label"] for row in rows} == {"happy", "surprise"}


def test_a_film_can_be_given_up(page, tmp_path, shots):
    long = write_film(tmp_path / "long.mp4", [view(index, "happy") for index in range(500)])
    judge(page, long)
    page.get_by_text(re.compile(r"Frame \d+ of 500, about")).wait_for(timeout=PATIENCE)
    page.screenshot(path=shots / "video_progress.png")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Find the emotions").wait_for(timeout=PATIENCE)
    # cleared at the run's end
    page.get_by_text(re.compile(r"Frame \d")).wait_for(state="hidden", timeout=PATIENCE)


def test_damaged_strange_and_long_films_are_refused_in_words(page, film, tmp_path, shots):
    refused = {
        "cut.mp4": (film.read_bytes()[:4000], "cut off"),
        "words.mp4": (b"no film at all, just words", "something else"),
        "long.mp4": (write_film(tmp_path / "b.mp4", [view(0)] * 140, rate=1.0).read_bytes(), "at most 2:00"),
    }
    for name, (content, reason) in refused.items():
        judge(page, {"name": name, "mimeType": "video/mp4", "buffer": content})
        message = page.get_by_role("alert").filter(has_text=reason)
        message.wait_for(timeout=PATIENCE)
        assert message.inner_text().startswith(name)
        assert not re.search(r"/\w", message.inner_text())  # no folder of the server
    page.screenshot(path=shots / "video_refused.png")
    judge(page, film)
    page.get_by_text("Emotions over time").wait_for(timeout=PATIENCE)  # the session lives
