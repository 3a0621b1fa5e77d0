"""fer-train in processes of their own that are forked from one that has imported its libraries.

Importing them takes 7 seconds of CPU time, more than any of these trainings. A process can be killed, and is
as independent of the tests as one that the shell starts: it has its own environment, folder and output.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_STATUS, _POLL_SECONDS = "status", 0.01


class ForkedTrain:
    """A running ``fer-train``, with the methods of `subprocess.Popen` that tests use.

    Args:
        arguments: Those of the command line.
        environment: All variables; None: those of this process.
        folder: The current folder; None: that of this process.

    Attributes:
        pid: Its process.
        returncode: Its status, or minus the signal that ended it; None while it runs.
    """

    def __init__(
        self, *arguments: object, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="forked-"))
        for name in ("out", "err"):
            os.mkfifo(self._folder / name)
        # The reading ends are opened first, so that the process need not wait; then their end is its end and
        # that of all processes that it has started.
        flags = os.O_RDONLY | os.O_NONBLOCK
        self._pipes = {os.open(self._folder / name, flags): bytearray() for name in ("out", "err")}
        request = {
            "arguments": [str(argument) for argument in arguments],
            "environment": dict(os.environ if environment is None else environment),
            "folder": str(folder or Path.cwd()),
            "files": str(self._folder),
        }
        self.returncode: int | None = None
        self.pid = _server().start(request)

    def poll(self) -> int | None:
        """Return the status, or None while it runs."""
        file = self._folder / _STATUS
        if self.returncode is None and file.exists():
            self.returncode = int(file.read_text())
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end, and return the status."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
            time.sleep(_POLL_SECONDS)
        return status

    def communicate(self, timeout: float = 60.0) -> tuple[str, str]:
        """Wait until it and its child processes have ended; return standard output and standard error."""
        end = time.monotonic() + timeout
        open_pipes = set(self._pipes)
        while open_pipes or self.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} still writes after {timeout} s")
            for pipe in select.select([*open_pipes], [], [], _POLL_SECONDS)[0]:
                if content := os.read(pipe, 1 << 16):
                    self._pipes[pipe] += content
                else:
                    open_pipes.remove(pipe)
                    os.close(pipe)
        out, err = (content.decode() for content in self._pipes.values())
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class _Server:
    """The process that has imported the libraries; it ends with this one, as its socket then closes."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        self._stream = ours.makefile("rw", encoding="utf-8")
        atexit.register(self._stop)

    def start(self, request: dict[str, Any]) -> int:
        """Start a command and return its process, after it has opened its output."""
        # A pipe that nobody has opened yet reads like one that has ended, so it answers once both are open.
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        return int(self._stream.readline())

    def _stop(self) -> None:
        self._stream.close()
        self._process.wait()


_servers: dict[int, _Server] = {}


def _server() -> _Server:
    # One for each process of the tests.
    if os.getpid() not in _servers:
        _servers[os.getpid()] = _Server()
    return _servers[os.getpid()]


def _serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request, in which this returns the request; store its status when it ends."""
    import fer.sweep.sweeper
    import fer.sweep.worker
    import fer.training.hydra_app
    import fer.training.run  # noqa: F401

    # Objects that exist now are never collected, so that their pages stay shared.
    gc.freeze()
    files: dict[int, Path] = {}
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        while True:
            if select.select([connection], [], [], 2 * _POLL_SECONDS if files else None)[0]:
                if not (line := stream.readline()):
                    return None
                request = json.loads(line)
                ready, opened = os.pipe()
                if (process := os.fork()) == 0:
                    os.close(ready)
                    return {**request, "opened": opened}
                os.close(opened)
                # Its output is open once the pipe has closed.
                os.read(ready, 1)
                os.close(ready)
                files[process] = Path(request["files"])
                stream.write(f"{process}\n")
                stream.flush()
            for process in list(files):
                ended, status = os.waitpid(process, os.WNOHANG)
                if ended:
                    file = files.pop(process) / _STATUS
                    file.with_suffix(".new").write_text(str(os.waitstatus_to_exitcode(status)))
                    file.with_suffix(".new").rename(file)


def _run(request: dict[str, Any]) -> None:
    """Run a command in this process, which is a fork."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(request["files"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY), number)
    os.close(request["opened"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    from fer.training import cli

    # The installed command, by which Lightning starts further processes.
    sys.argv = [str(Path(sys.executable).with_name("fer-train")), *request["arguments"]]
    # Temporary folders of the libraries are removed by the process that has created them.
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    cli.main()


def _exit(status: Any) -> None:
    """End as the interpreter would, but without destructors in C++, which join threads that no fork has."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def _main() -> None:
    status: Any = None
    try:
        if request := _serve(socket.socket(fileno=int(sys.argv[1]))):
            _run(request)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    _exit(status)


if __name__ == "__main__":
    _main()
