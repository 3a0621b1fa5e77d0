"""Is the process of a trial gone? It is looked for where it can be seen; elsewhere its pulse tells."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PULSE_SECONDS = 10.0
GRACE_SECONDS = 60.0  # without a pulse, and a process that cannot be seen counts as gone


def this_process() -> dict[str, Any]:
    """Return what names this process among all: machine, boot and process namespace; number and start."""
    return {"place": _place(), "host": socket.gethostname(), "pid": os.getpid(), "start": _start(os.getpid())}


def is_gone(owner: dict[str, Any] | None, pulse: float) -> bool:
    """Return whether the process that had a trial is gone.

    Args:
        owner: What `this_process` returned there; None where it was killed before it said so.
        pulse: When it was last known to be alive, in seconds since 1970.
    """
    place = _place()
    if owner is not None and place is not None and owner["place"] == place:
        return owner["start"] is None or owner["start"] != _start(owner["pid"])
    return time.time() - pulse > GRACE_SECONDS


class Pulse:
    """Call ``beat`` every ten seconds from a thread, while a trial is at work."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat, self._stop = beat, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Pulse":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PULSE_SECONDS):
            with contextlib.suppress(Exception):  # a storage out of reach for a while; there is a next beat
                self._beat()


def _place() -> str | None:
    """Return the running kernel and the process namespace; None where there is no /proc to tell them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None where there is none, or but a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
