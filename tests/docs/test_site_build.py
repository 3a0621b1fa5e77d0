"""The documentation site builds without warnings; it works without a network, on a phone, in dark colours."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import pytest
from accessibility import violations
from browser import CHROMIUM, Browser
from command_help import commands

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ("reference/options", "reference/python", "reference/card")
PAGES = ("index", "how-to/distil", *REFERENCE, "zoo", "methods")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site strictly, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


class Links(HTMLParser):
    """Links, loaded files and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        """Collect the addresses and ids of a tag."""
        found = dict(attributes)
        self.anchors.add(found.get("id") or "")
        self.anchors.add(found.get("name") or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get("src") or (tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon")):
            self.loaded.append(found.get("src") or found["href"])


def test_the_search_prefers_guides_to_decisions(site):
    pages = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    boost = {page["location"]: page.get("boost", 1) for page in pages}
    assert boost["start/own-folder.html"] > boost["training.html"] == 1 > boost["reference/options.html"]
    assert boost["reference/options.html"] > boost["decisions/0019-emotions.html"]


def test_links_and_files_exist(site):
    pages = {path: Links(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 60
    for path, page in pages.items():
        assert not [address for address in page.loaded if re.match(r"(https?:)?//", address)], path
        for link in [*page.links, *page.loaded]:
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = unquote(link).partition("#")
            file = (path.parent / target).resolve() if target else path
            assert file.exists(), f"{path}: {link}"
            if anchor and file in pages:
                assert anchor in pages[file].anchors, f"{path}: {link}"


def test_generated_parts_are_on_the_pages(site):
    texts = {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.html")}
    assert "optimizer.momentum" in texts["reference/options.html"]
    for command in (*commands(), "fer-models list", "fer-models promote"):
        usage = f"usage: {command} " if command != "fer-train" else "fer-train trains"
        assert usage in texts["reference/commands.html"]
    assert "crop.box_scale" in texts["reference/card.html"]
    assert "register_attention" in texts["reference/python.html"]
    assert "n = 3,589" in texts["index.html"]
    assert "Added" in texts["changelog.html"]
    assert not [name for name, text in texts.items() if "<!-- generated:" in text]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_pages_in_a_browser(site):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browser = Browser(chromium)
        for page in PAGES:
            browser.open(site / f"{page}.html", width=390)
            assert browser.evaluate("document.documentElement.scrollWidth") <= 390, page
            assert not [url for url in browser.requests if not url.startswith("file:")]
        for page, dark in product(("index", "reference/options", "training", "robustness"), (False, True)):
            browser.open(site / f"{page}.html", width=1280, dark=dark)
            browser.page.locator(".md-code__nav").first.wait_for(state="attached")
            assert violations(browser.page) == [], page
        browser.open(site / "index.html", width=1280, dark=True)
        shown = browser.page.locator(".hero img:visible")
        assert shown.get_attribute("src").startswith("images/app_demo_dark.webp")
        browser.page.get_by_label("Pause the animation").check()
        assert shown.get_attribute("src").startswith("images/app_demo_still_dark.webp")
        assert browser.evaluate("document.body.dataset.mdColorScheme") == "slate"
        browser.page.locator("input.md-search__input").fill("class_weights")
        browser.page.locator(".md-search-result__link").first.wait_for(timeout=10_000)
        assert not [url for url in browser.requests if not url.startswith("file:")]
        browser.close()
        chromium.close()
