"""Whether the process of a trial is alive: looked up on this machine, judged by heartbeats elsewhere."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEARTBEAT_SECONDS = 10.0
GRACE_SECONDS = 60.0  # without a heartbeat, after which a process of another machine counts as dead


def this_process() -> dict[str, Any]:
    """Return what identifies this process across machines.

    ``place`` is the machine's boot and the process namespace, ``host`` its name, ``pid`` and ``start`` the
    process number and start time.
    """
    return {
        "place": _namespace(), "host": socket.gethostname(), "pid": os.getpid(),
        "start": _start_time(os.getpid()),
    }  # fmt: skip


def is_dead(owner: dict[str, Any] | None, last_heartbeat: float) -> bool:
    """Return whether the process that owned a trial is dead.

    Args:
        owner: `this_process` of that process; None if it was killed before it stored that.
        last_heartbeat: When it was last known to be alive, in seconds since 1970.
    """
    namespace = _namespace()
    if owner is not None and namespace is not None and owner["place"] == namespace:
        return owner["start"] is None or owner["start"] != _start_time(owner["pid"])
    return time.time() - last_heartbeat > GRACE_SECONDS


class Heartbeat:
    """Context manager that calls ``beat`` every ten seconds from a thread, while a trial is training."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat, self._stop = beat, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Heartbeat":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            # the storage may be unreachable for a while; the next heartbeat tries again
            with contextlib.suppress(Exception):
                self._beat()


def _namespace() -> str | None:
    """Return the kernel's boot id and the process namespace; None on a system without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it does not exist or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
