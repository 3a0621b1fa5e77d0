"""How long a newcomer waits: from typing fer-app to the first emotion in the browser, and for the heat.

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
    """Return seconds until the page is there, until the first answer, and from asking why to the heat."""
    start = time.perf_counter()
    with server([]) as (url, _):
        page = browser.new_page()
        page.goto(url)
        serving = time.perf_counter()
        page.get_by_role("radio", name="happy", exact=True).click(timeout=60_000)
        page.locator(".fer-bars").wait_for(timeout=60_000)
        answered = time.perf_counter()
        page.get_by_text("Why happy?").click()
        page.locator(".fer-why").wait_for()
        explained = time.perf_counter()
        page.close()
    return serving - start, answered - serving, explained - answered


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        rows = [measure(browser) for _ in range(arguments.runs)]
        browser.close()
    names = ("the page is there", "then the first answer", "then the heat")
    for name, seconds in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:>22}  {statistics.median(seconds):5.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"median of {arguments.runs} starts, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
