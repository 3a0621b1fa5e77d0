"""Every page in a real browser: axe finds no fault, light and dark, on a screen and on a phone."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from serving_app import serving
from written_bundle import write_bundle

from fer.bundle.registry import Registry

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGES = {"pictures": "", "webcam": "webcam", "video": "video", "compare": "compare", "card": "card"}
# Streamlit's own field for files is a `presentation` with a name: a matter of style, and not ours.
NOT_OURS = {"presentation-role-conflict"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe():
    """The text of axe-core, which the page is made to run: nothing is loaded from elsewhere."""
    found = find_spec("axe_core_python")
    if found is None:
        pytest.skip("needs axe-core-python (group dev)")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server with two versions to compare."""
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
    tab.wait_for_selector(".fer-foot", timeout=60_000)
    tab.wait_for_timeout(500)


def faults(tab, axe):
    """What axe finds: rule, and the parts of the page."""
    tab.evaluate(axe)
    result = tab.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
    return [
        (fault["id"], node["html"][:160], node["failureSummary"][:300])
        for fault in result["violations"]
        if fault["id"] not in NOT_OURS
        for node in fault["nodes"]
    ]


def test_a_page_opens_before_any_other_was_seen(chromium, url):
    """Streamlit takes a folder `pages` beside the main file for pages of its own, until that file has run."""
    tab = chromium.new_page(viewport=WIDE)
    visit(tab, url, "card")
    assert tab.inner_text("h1").strip() == "Model card"
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_the_screen_and_axe_finds_no_fault(tab, url, axe, page):
    visit(tab, url, page)
    assert tab.evaluate("document.querySelector('.stMain').scrollWidth") <= tab.viewport_size["width"]
    assert faults(tab, axe) == []
