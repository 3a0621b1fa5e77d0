"""Ctrl-C for processes that tests start."""

import signal


def enable_sigint() -> None:
    """Handle Ctrl-C also if the tests run in the background, whose child processes ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
