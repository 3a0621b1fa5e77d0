"""Tests of the report page in a real browser (Chromium or Chrome)."""

import pytest
from example_sections import HOSTILE, about, sections

from fer.analysis.report import write_report

# The smallest contrast of any text with its background, as defined by WCAG 2.2 (which requires 4.5):
# https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
CONTRAST = """(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length == 3 || c[3] == 1) return c; } return [255, 255, 255]; };
  const light = c => { const [r, g, b] = c.map(v => (v /= 255)
      <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const texts = [...document.body.querySelectorAll('*')].filter(
    e => [...e.childNodes].some(node => node.nodeType == 3 && node.data.trim()));
  return Math.min(...texts.map(e => { const [a, b] = [parts(getComputedStyle(e).color), behind(e)].map(
    c => light(c.slice(0, 3))); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report"), sections(), "A report", about())


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_page_never_scrolls_sideways(browser, page, width):
    browser.open(page, width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("innerWidth") == width


def test_wide_table_scrolls_in_its_box_on_a_phone(browser, page):
    browser.open(page, 390)
    inside, box = browser.evaluate(
        "(e => [e.scrollWidth, e.clientWidth])(document.querySelector('.table .scroll'))"
    )
    assert box <= 390 < inside


def test_page_makes_no_requests_and_shows_every_image(browser, page):
    browser.open(page, 1280)
    requests = [url for url in browser.requests if not url.startswith("data:")]
    assert requests == [page.as_uri()]
    widths = browser.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.width])")
    assert len(widths) == 2
    assert all(complete and natural and 0 < width <= natural for complete, natural, width in widths)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_text_has_enough_contrast_in_light_and_dark(browser, page, dark, width):
    browser.open(page, width, dark=dark)
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background != "rgb(255, 255, 255)") == dark
    assert browser.evaluate(CONTRAST) >= 4.5


def test_hostile_names_run_no_script(browser, tmp_path):
    label = " ".join(HOSTILE)
    browser.open(write_report(tmp_path, sections(label), "A report", about(label)), 390)
    assert browser.evaluate("document.title") == "A report"
    assert browser.evaluate("document.querySelectorAll('script').length") == 0
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


def test_print_breaks_no_figure_across_pages(browser, page):
    browser.open(page, 672)  # A4 without margins, in CSS pixels: 178 by 261 mm
    assert browser.page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
    browser.page.emulate_media(media="print")
    boxes = browser.evaluate(
        "[...document.querySelectorAll('figure.picture')].map("
        "e => [e.getBoundingClientRect().height, getComputedStyle(e).breakInside])"
    )
    assert boxes
    assert all(height < 986 and rule == "avoid" for height, rule in boxes)
