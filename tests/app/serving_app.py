"""A server of the app in a process of its own."""

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
def serving(*words):
    """Start ``fer-app`` on a free port and give its address; end it afterwards.

    Args:
        words: Further ones of its command line; of two equal options the last counts.
    """
    with started(*words) as (url, _):
        yield url


@contextmanager
def started(*words):
    """Start ``fer-app`` as `serving` does, and give its process too."""
    port = free_port()
    command = [sys.executable, "-m", "fer.app_cli", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(
        [*command, *("--detector", "haar"), *words],
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


def wait_until_drawn(page, timeout=30_000):
    """Wait until Streamlit has drawn the page: of a press before, nothing may come.

    Args:
        page: Playwright's.
        timeout: Milliseconds.
    """
    page.locator('[data-test-script-state="notRunning"]').wait_for(timeout=timeout)


def free_port():
    """Return a port that nobody has at the moment."""
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
