"""Accessibility of every page in Chromium, checked by axe: light and dark mode, desktop and phone."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from app_server import serving
from tiny_bundle import write_bundle

from fer.bundle.registry import Registry

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGES = {"images": "", "webcam": "webcam", "video": "video", "compare": "compare", "card": "card"}
# Streamlit's file uploader has the role `presentation` and a name; we cannot change that.
IGNORED_RULES = {"presentation-role-conflict"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core, which is injected into the page: nothing is downloaded."""
    spec = find_spec("axe_core_python")
    if spec is None:
        pytest.skip("needs axe-core-python (group dev)")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server with two registered versions."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        Registry(folder / "models").register(write_bundle(folder / f"bundle{seed}", seed=seed))
    with serving("--models", str(folder / "models")) as address:
        yield address


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(scope="module", params=[WIDE, PHONE], ids=["wide", "phone"])
def tab(request, chromium, scheme):
    context = chromium.new_context(viewport=request.param, color_scheme=scheme)
    yield context.new_page()
    context.close()


def visit(tab, url, page):
    tab.goto(f"{url}/{PAGES[page]}")
    tab.wait_for_selector("h1", timeout=60_000)
    tab.wait_for_selector(".fer-footer", timeout=60_000)
    tab.wait_for_timeout(500)


def violations(tab, axe):
    """Return rule, HTML and explanation of each violation."""
    tab.evaluate(axe)
    result = tab.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:300])
        for violation in result["violations"]
        if violation["id"] not in IGNORED_RULES
        for node in violation["nodes"]
    ]


def test_a_page_can_be_opened_first(chromium, url):
    """Until the main file has run, Streamlit would serve a folder `pages` beside it as its own pages."""
    tab = chromium.new_page(viewport=WIDE)
    visit(tab, url, "card")
    assert tab.inner_text("h1").strip() == "Model card"
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_the_screen_and_has_no_axe_violations(tab, url, axe, page):
    visit(tab, url, page)
    assert tab.evaluate("document.querySelector('.stMain').scrollWidth") <= tab.viewport_size["width"]
    assert violations(tab, axe) == []
