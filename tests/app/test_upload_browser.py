"""The page for pictures in a real browser: files, faces, why, downloads, snapshot, dark, phone, axe."""

import csv
import io
import zipfile

import pytest
from PIL import Image
from serving_app import wait_until_drawn

from fer.app.gallery import SAMPLES, draw_sample

GROUP = SAMPLES[-1]
PHONE = {"width": 390, "height": 844}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
SETTLED = 600  # milliseconds: Streamlit fades in


@pytest.fixture
def group_file(tmp_path):
    path = tmp_path / "group <b>of three.png"
    Image.fromarray(draw_sample(GROUP)).save(path)
    return path


def opened(page, url):
    page.goto(url)
    page.get_by_role("heading", name="Which emotion").wait_for(timeout=30_000)
    page.get_by_role("radio", name="three faces").wait_for()
    wait_until_drawn(page)


def bars(page):
    page.locator(".fer-bars").wait_for(timeout=20_000)
    page.wait_for_timeout(SETTLED)
    return page.locator(".fer-bars th").all_inner_texts()


def test_a_file_with_three_faces(app_url, browser_page, group_file, shots):
    opened(browser_page, app_url)
    browser_page.locator("input[type=file]").set_input_files(group_file)
    assert bars(browser_page)[0] == "happy"
    assert browser_page.get_by_text("group <b>of three.png · 1,120 × 400 pixels · 3 faces").is_visible()
    browser_page.get_by_role("radio", name="#2 surprise").click()
    browser_page.get_by_role("heading", name="Surprise, ").wait_for()
    assert bars(browser_page)[0] == "surprise"
    browser_page.get_by_text("Why surprise?").click()
    heat = browser_page.get_by_role("img", name="Heat over the face")
    heat.wait_for()
    browser_page.set_viewport_size({"width": 1280, "height": 1420})  # Streamlit scrolls within its page
    browser_page.wait_for_timeout(2 * SETTLED)
    assert heat.evaluate("picture => picture.naturalWidth") == 288
    browser_page.screenshot(path=shots / "upload.png")


def test_answers_can_be_taken_home(app_url, browser_page, group_file):
    opened(browser_page, app_url)
    browser_page.locator("input[type=file]").set_input_files(group_file)
    bars(browser_page)
    rows = list(csv.DictReader(io.StringIO(taken(browser_page, "Table (CSV)").decode())))
    assert [row["emotion"] for row in rows] == ["happy", "surprise", "neutral"]
    with zipfile.ZipFile(io.BytesIO(taken(browser_page, "Pictures (ZIP)"))) as archive:
        assert len(archive.namelist()) == 1


def taken(page, button):
    with page.expect_download(timeout=20_000) as coming:
        page.get_by_role("button", name=button).click()
    return coming.value.path().read_bytes()


def test_a_snapshot(app_url, browser_page):
    opened(browser_page, app_url)
    browser_page.get_by_role("radio", name="Camera").click()
    browser_page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=20_000)
    browser_page.wait_for_timeout(SETTLED)
    wait_until_drawn(browser_page)
    browser_page.get_by_role("button", name="Take Photo").click()
    browser_page.get_by_text("snapshot.jpg ·").wait_for(timeout=20_000)  # the browser's test picture: no face
    assert browser_page.get_by_text("No face was found").is_visible()


def test_keys_alone_choose_a_face(app_url, browser_page):
    opened(browser_page, app_url)
    browser_page.get_by_role("radio", name="happy", exact=True).focus()
    browser_page.keyboard.press("ArrowRight")
    browser_page.get_by_role("radio", name="surprise", exact=True).focus()
    browser_page.keyboard.press("Space")
    assert bars(browser_page)[0] == "surprise"


@pytest.mark.parametrize(("colors", "size"), [("light", PHONE), ("dark", PHONE), ("dark", None)])
def test_dark_and_phone_are_usable(app_url, chromium, shots, colors, size):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="needs axe-core-python (group dev)")
    context = chromium.new_context(color_scheme=colors, **({"viewport": size} if size else {}))
    page = context.new_page()
    opened(page, app_url)
    page.get_by_role("radio", name="three faces").click()
    bars(page)
    page.get_by_text("Why happy?").click()
    page.locator(".fer-why").wait_for()
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=shots / f"upload_{colors}_{'phone' if size else 'wide'}.png")
    assert page.evaluate("document.querySelector('.stMain').scrollWidth <= window.innerWidth")
    found = axe.Axe().run(page, options=RULES)["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []
    context.close()
