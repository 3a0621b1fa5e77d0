"""The app's server in a separate process."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

WIDE = {"width": 1280, "height": 900}


@contextmanager
def serving(*options):
    """Start ``fer-app`` on a free port, yield its URL, and stop it afterwards.

    Args:
        options: Further command-line options; they override the defaults here.
    """
    with started(*options) as (url, _):
        yield url


@contextmanager
def started(*options):
    """Start ``fer-app`` like `serving`, and yield its URL and process."""
    port = free_port()
    command = [sys.executable, "-m", "fer.app.cli", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(
        [*command, *("--detector", "haar"), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://localhost:{port}"
    try:
        _wait_for(url, server)
        yield url, server
    finally:
        if server.poll() is None:
            server.terminate()
            server.communicate(timeout=30)


def wait_until_rendered(page, timeout=30_000):
    """Wait until Streamlit has rendered the page: an earlier click might be ignored.

    Args:
        page: Playwright's page.
        timeout: In milliseconds.
    """
    page.locator('[data-test-script-state="notRunning"]').wait_for(timeout=timeout)


def free_port():
    """Return a port that is currently free."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _wait_for(url, server, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    server.kill()
    pytest.fail(f"fer-app did not start: {server.communicate()[0]}")
