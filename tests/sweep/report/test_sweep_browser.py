"""The page of a sweep in a real browser: `apt-get install chromium`, or Chrome."""

import pytest
from recorded_sweeps import MANY_TRIALS, write_sweep

from fer.sweep.cli import main
from fer.sweep.report.results import load_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_sweep(tmp_path_factory.mktemp("sweep") / "some", MANY_TRIALS)
    with pytest.raises(SystemExit):
        main([str(folder)])
    return folder


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_rendered_and_the_page_does_not_scroll_sideways(browser, folder, width):
    browser.open(folder / "report.html", width)
    rendered = browser.evaluate(
        "[...document.querySelectorAll('.chart')].map(e => !!e.querySelector('.main-svg'))"
    )
    assert rendered == [True] * 7  # history, importance, parallel, three slices, curves
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    external = [url for url in browser.requests if not url.startswith(("data:", "blob:"))]
    assert external == [(folder / "report.html").as_uri()]


def test_the_command_is_copied_or_selected(browser, folder):
    browser.open(folder / "report.html", 1280)
    sweep = load_sweep(folder, None, None)
    command = sweep.command(sweep.ranking[0])
    assert browser.evaluate("document.querySelector('.command code').textContent") == command
    script = """(async () => { const button = document.querySelector('.copy'); button.click();
      await new Promise(done => setTimeout(done, 500)); return button.textContent; })()"""
    assert browser.evaluate(script) in ("Copied", "Selected")
