"""Serve a written web page below a path, and read its answers in Chromium."""

import functools
import http.server
import json
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fer.faces.detectors import YUNET_ENV_VAR
from fer.web.runtime import PACKAGE

# File that `npm pack` wrote.
RUNTIME_ENV_VAR = "FER_WEB_RUNTIME"
NEEDED = [name for name in (RUNTIME_ENV_VAR, YUNET_ENV_VAR) if not os.environ.get(name)]
needs_runtime = pytest.mark.skipif(
    bool(NEEDED), reason=f"needs {' and '.join(NEEDED)}; npm pack {PACKAGE} writes the file of the first"
)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Print nothing."""

    def end_headers(self):
        """Let pages of other servers load files, as a CDN does."""
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextmanager
def serving_files(folder):
    """Serve a folder and yield its URL; the server can be stopped earlier with the yielded function."""
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    # Waits for requests in shorter steps, so that it stops at once.
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05), daemon=True)
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()

    try:
        yield f"http://localhost:{server.server_port}", stop
    finally:
        stop()


def wait_for_answer(page, seconds=60):
    """Wait until the page shows an answer; Playwright's own wait needs eval, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.inner_text("#speed"):
        message = page.inner_text("#status")
        if "error" in (page.get_attribute("#status", "class") or "") or time.monotonic() > end:
            pytest.fail(f"no answer: {message}")
        time.sleep(0.02)


def clear_answer(page):
    """Remove the shown answer, so that `wait_for_answer` waits for the next one."""
    page.evaluate("document.getElementById('speed').textContent = ''")


def answer_for(page, path):
    """Choose a picture and return the content of the JSON file that the page saves."""
    clear_answer(page)
    page.set_input_files("#file", path)
    wait_for_answer(page)
    with page.expect_download() as download:
        page.click("#save")
    return json.loads(Path(download.value.path()).read_text())
