"""Measure the start of fer-app, the time to the first prediction in the browser, and to the saliency map.

uv run python scripts/benchmark_app.py --runs 3
"""

import argparse
import os
import shutil
import statistics
import time

from load_app import server
from playwright.sync_api import sync_playwright


def measure(browser):
    """Return the seconds until the page is loaded, then until the prediction, then until the saliency map."""
    start = time.perf_counter()
    with server([]) as (url, _):
        page = browser.new_page()
        page.goto(url)
        loaded = time.perf_counter()
        page.get_by_role("radio", name="happy", exact=True).click(timeout=60_000)
        page.locator(".fer-bars").wait_for(timeout=60_000)
        predicted = time.perf_counter()
        page.get_by_text("Explain happy").click()
        page.locator(".fer-saliency").wait_for()
        explained = time.perf_counter()
        page.close()
    return loaded - start, predicted - loaded, explained - predicted


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        rows = [measure(browser) for _ in range(options.runs)]
        browser.close()
    names = ("page loaded", "then first prediction", "then saliency map")
    for name, seconds in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:>22}  {statistics.median(seconds):5.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"median of {options.runs} starts, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
