"""Every page in Chromium: navigation, layout on desktop and phone, accessibility checked by axe."""

import pytest
from accessibility import OF_STREAMLIT, violations
from app_server import serving
from fake_camera import view
from tiny_bundle import write_bundle
from video_files import write_video

from fer.bundle.registry import Registry

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGES = {"images": "", "webcam": "webcam", "video": "video", "compare": "compare", "card": "card"}
# Sets a variable if a sidebar with a list of pages appears at any time.
WATCH_SIDEBAR = """
    window.sidebarShown = false;
    const list = '[data-testid="stSidebar"], [data-testid="stSidebarNav"]';
    new MutationObserver(() => { window.sidebarShown ||= document.querySelector(list) !== null; })
        .observe(document, {childList: true, subtree: true});
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server with two registered versions."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        Registry(folder / "models").register(write_bundle(folder / f"bundle{seed}", seed=seed))
    with serving("--models", str(folder / "models")) as address:
        yield address


# test_upload_browser.py checks the colours of a wide page in dark mode.
@pytest.fixture(
    scope="module",
    params=[(WIDE, "light"), (PHONE, "light"), (PHONE, "dark")],
    ids=["wide-light", "phone-light", "phone-dark"],
)
def tab(request, chromium):
    viewport, scheme = request.param
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    yield context.new_page()
    context.close()


def visit(tab, url, page):
    tab.goto(f"{url}/{PAGES[page]}")
    tab.wait_for_selector("h1", timeout=60_000)
    tab.wait_for_selector(".fer-footer", timeout=60_000)
    tab.wait_for_timeout(500)


@pytest.mark.parametrize(("page", "title"), [("images", "Which emotion does"), ("card", "Model card")])
def test_the_first_visit_of_a_server_shows_no_page_list_of_streamlit(chromium, page, title):
    """Streamlit would list and run the modules in `fer/app/pages` until the first call of st.navigation."""
    with serving() as address:
        tab = chromium.new_page(viewport=WIDE)
        tab.add_init_script(WATCH_SIDEBAR)
        visit(tab, address, page)
        assert tab.inner_text("h1").startswith(title)
        assert tab.locator('[data-testid="stTopNavLink"]').count() == len(PAGES)
        assert tab.evaluate("window.sidebarShown") is False
        tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_the_screen_and_has_no_axe_violations(tab, url, page):
    visit(tab, url, page)
    assert tab.evaluate("document.querySelector('.stMain').scrollWidth") <= tab.viewport_size["width"]
    assert violations(tab, OF_STREAMLIT) == []


@pytest.fixture(scope="module")
def short_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    return write_video(path, [view(index, "happy", "surprise") for index in range(10)])


def test_the_result_of_a_video_fits_the_screen_and_has_no_axe_violations(tab, url, short_video):
    visit(tab, url, "video")
    tab.locator("input[type=file]").set_input_files(short_video)
    tab.get_by_role("slider", name="Face 1: position in the video").wait_for(timeout=60_000)
    tab.wait_for_timeout(500)
    assert tab.evaluate("document.querySelector('.stMain').scrollWidth") <= tab.viewport_size["width"]
    assert violations(tab, OF_STREAMLIT) == []
