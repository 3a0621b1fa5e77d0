"""How long a newcomer waits: from typing fer-app to the first emotion in the browser, and for the heat.

uv run python scripts/benchmark_app.py --runs 3
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

from playwright.sync_api import Error, sync_playwright

PATIENCE = 60  # seconds for the server to start


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def open_when_there(page, url, server):
    """Open the app as soon as it answers; end when it does not start."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            page.goto(url)
            return
        except Error:  # not yet there
            if server.poll() is not None or time.monotonic() > end:
                sys.exit(f"{url}: fer-app did not start, or took more than {PATIENCE} seconds.")
            time.sleep(0.05)


def measure(browser):
    """Return seconds until the page is there, until the first answer, and from asking why to the heat."""
    port = free_port()
    start = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "fer.app_cli", "--no-browser", "--port", str(port)])
    page = browser.new_page()
    try:
        open_when_there(page, f"http://localhost:{port}", server)
        serving = time.perf_counter()
        page.get_by_role("radio", name="happy", exact=True).click(timeout=60_000)
        page.locator(".fer-bars").wait_for(timeout=60_000)
        answered = time.perf_counter()
        page.get_by_text("Why happy?").click()
        page.locator(".fer-why").wait_for()
        explained = time.perf_counter()
        return serving - start, answered - serving, explained - answered
    finally:
        page.close()
        server.terminate()
        server.wait(30)


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
