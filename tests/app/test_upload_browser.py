"""The images page in Chromium: uploads, saliency maps, downloads, snapshots, accessibility."""

import csv
import io
import zipfile

import pytest
from accessibility import OF_STREAMLIT, violations
from app_server import started, wait_until_rendered
from PIL import Image

from fer.data.synthetic.samples import SAMPLES, render_sample

GROUP = SAMPLES[-1]
PHONE = {"width": 390, "height": 844}
# Milliseconds until Streamlit's elements have faded in.
SETTLED = 600


@pytest.fixture
def group_file(tmp_path):
    path = tmp_path / "group <b>of three.png"
    Image.fromarray(render_sample(GROUP)).save(path)
    return path


def open_images_page(page, url):
    page.goto(url)
    page.get_by_role("heading", name="Which emotion").wait_for(timeout=30_000)
    page.get_by_role("radio", name="three faces").wait_for()
    wait_until_rendered(page)


def shown_emotions(page):
    """Wait for the bars, and return the emotions from the top."""
    page.locator(".fer-bars").wait_for(timeout=20_000)
    page.wait_for_timeout(SETTLED)
    return page.locator(".fer-bars th").all_inner_texts()


def test_an_image_with_three_faces(app_url, browser_page, group_file, shots):
    open_images_page(browser_page, app_url)
    browser_page.locator("input[type=file]").set_input_files(group_file)
    assert shown_emotions(browser_page)[0] == "happy"
    assert browser_page.get_by_text("group <b>of three.png · 1,120 × 400 pixels · 3 faces").is_visible()
    browser_page.get_by_role("radio", name="#2 surprise").click()
    browser_page.get_by_role("heading", name="Surprise, ").wait_for()
    assert shown_emotions(browser_page)[0] == "surprise"
    browser_page.get_by_text("Explain surprise").click()
    saliency = browser_page.get_by_role("img", name="Saliency map over the face")
    saliency.wait_for()
    # A tall viewport for the screenshot: Streamlit scrolls within its page.
    browser_page.set_viewport_size({"width": 1280, "height": 1420})
    browser_page.wait_for_timeout(2 * SETTLED)
    assert saliency.evaluate("image => image.naturalWidth") == 288
    browser_page.screenshot(path=shots / "upload.png")


def test_results_stay_after_a_visit_of_another_page(app_url, browser_page, group_file):
    open_images_page(browser_page, app_url)
    browser_page.locator("input[type=file]").set_input_files(group_file)
    assert shown_emotions(browser_page)[0] == "happy"
    browser_page.get_by_role("link", name="Model card").click()
    browser_page.locator(".fer-bars").wait_for(state="detached", timeout=20_000)
    browser_page.get_by_role("link", name="Images").click()
    assert shown_emotions(browser_page)[0] == "happy"
    browser_page.get_by_role("button", name="Clear", exact=True).click()
    browser_page.get_by_role("radio", name="three faces").wait_for(timeout=20_000)
    assert not browser_page.locator(".fer-bars").count()


def test_a_file_that_is_too_large_is_refused_in_words(app_url, chromium, tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(26 << 20))
    page = chromium.new_page(viewport=PHONE)
    open_images_page(page, app_url)
    page.locator("input[type=file]").set_input_files(tmp_path / "a.png")
    error = page.get_by_text("must be 25.0MB or smaller")
    error.wait_for(timeout=20_000)
    # Not a single pixel for screen readers, once the page has its style sheet again.
    is_visible = (
        "node => node.getBoundingClientRect().width > 150 && node.getBoundingClientRect().height > 12"
    )
    page.wait_for_function(is_visible, arg=error.element_handle(), timeout=20_000)
    page.close()


def test_predictions_can_be_downloaded(app_url, browser_page, group_file):
    open_images_page(browser_page, app_url)
    browser_page.locator("input[type=file]").set_input_files(group_file)
    shown_emotions(browser_page)
    rows = list(csv.DictReader(io.StringIO(download(browser_page, "Table (CSV)").decode())))
    assert [row["emotion"] for row in rows] == ["happy", "surprise", "neutral"]
    with zipfile.ZipFile(io.BytesIO(download(browser_page, "Annotated images (ZIP)"))) as archive:
        assert len(archive.namelist()) == 1


def download(page, button):
    with page.expect_download(timeout=20_000) as event:
        page.get_by_role("button", name=button).click()
    return event.value.path().read_bytes()


def test_a_snapshot(app_url, browser_page):
    open_images_page(browser_page, app_url)
    browser_page.get_by_role("radio", name="Camera").click()
    browser_page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=20_000)
    browser_page.wait_for_timeout(SETTLED)
    wait_until_rendered(browser_page)
    browser_page.get_by_role("button", name="Take Photo").click()
    # Chromium's fake camera shows a test pattern without a face.
    browser_page.get_by_text("snapshot.jpg ·").wait_for(timeout=20_000)
    assert browser_page.get_by_text("No face was detected").is_visible()


def test_a_sample_can_be_chosen_by_keyboard(app_url, browser_page):
    open_images_page(browser_page, app_url)
    browser_page.get_by_role("radio", name="happy", exact=True).focus()
    browser_page.keyboard.press("ArrowRight")
    browser_page.get_by_role("radio", name="surprise", exact=True).focus()
    browser_page.keyboard.press("Space")
    assert shown_emotions(browser_page)[0] == "surprise"


def test_the_menu_of_a_phone_has_labels(app_url, chromium):
    context = chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    open_images_page(page, app_url)
    page.wait_for_timeout(2 * SETTLED)
    for label in ("Images", "Webcam", "Video", "Compare", "Model card"):
        assert page.get_by_role("link", name=label, exact=True).count() == 1
    link = page.get_by_role("link", name="Model card").bounding_box()
    assert link["x"] + link["width"] <= PHONE["width"]
    assert link["height"] >= 40
    page.get_by_role("link", name="Model card").tap()
    page.get_by_role("heading", name="Model card").wait_for(timeout=20_000)
    context.close()


def test_a_lost_connection_is_explained_without_streamlits_commands(browser_page):
    with started() as (url, server):
        open_images_page(browser_page, url)
        # The script that explains it is loaded last.
        browser_page.locator(".st-key-connection .stBidiComponent").wait_for(state="attached", timeout=20_000)
        browser_page.wait_for_timeout(2 * SETTLED)
        server.terminate()
        server.communicate(timeout=30)
        dialog = browser_page.get_by_role("dialog")
        dialog.get_by_text("start it again with fer-app").wait_for(timeout=60_000)
        assert "treamlit" not in dialog.inner_text()


def test_twenty_images_in_the_overview(app_url, browser_page, tmp_path, shots):
    for number in range(20):
        Image.fromarray(render_sample(SAMPLES[number % len(SAMPLES)])).save(tmp_path / f"{number:02}.png")
    open_images_page(browser_page, app_url)
    browser_page.locator("input[type=file]").first.set_input_files(sorted(tmp_path.glob("*.png")))
    browser_page.get_by_text("20 images, 24 faces:").wait_for(timeout=60_000)
    wait_until_rendered(browser_page)
    browser_page.get_by_role("radio", name="3. angry").click()
    browser_page.get_by_text("02.png ·").wait_for(timeout=20_000)
    browser_page.get_by_role("button", name="Next").click()
    browser_page.get_by_text("03.png ·").wait_for(timeout=20_000)
    browser_page.screenshot(path=shots / "overview.png")


@pytest.mark.parametrize(("colors", "size"), [("light", PHONE), ("dark", PHONE), ("dark", None)])
def test_dark_mode_and_phone_layout_are_accessible(app_url, chromium, shots, colors, size):
    context = chromium.new_context(color_scheme=colors, **({"viewport": size} if size else {}))
    page = context.new_page()
    open_images_page(page, app_url)
    page.get_by_role("radio", name="three faces").click()
    shown_emotions(page)
    page.get_by_text("Explain happy").click()
    page.locator(".fer-saliency").wait_for()
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=shots / f"upload_{colors}_{'phone' if size else 'wide'}.png")
    assert page.evaluate("document.querySelector('.stMain').scrollWidth <= window.innerWidth")
    page.locator(".st-key-model_options summary").click()
    page.wait_for_timeout(SETTLED)
    assert violations(page, OF_STREAMLIT) == []
    context.close()
