"""What every command line shares: mistakes of the user end in one clear line and exit status 2."""

import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

from fer.errors import FerError

USER_ERROR, INTERRUPTED = 2, 130
READER_GONE = 141  # what a shell says of a program that SIGPIPE ended: it was cut short, which is no success


def run_and_explain(command: Callable[[], object]) -> int:
    """Run a command and return its exit status.

    A `FerError` becomes ``error: …`` on standard error and status 2, and so does a library that is not
    installed; Ctrl-C becomes status 130. Where nobody reads standard output any more (``| head``), the
    command ends quietly with status 141. Anything else is a defect of ours, and shows its traceback; so does
    a pipe to anything else that breaks. Of several processes of a run each says what ended it: what the
    first would have refused never starts the others.
    """
    try:
        command()
        sys.stdout.flush()  # what is still held back is written here, where its errors are understood
    except FerError as error:
        _say(f"error: {error}")
        return USER_ERROR
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "fer":
            raise
        _say(f"error: {error.name} is not installed. Training, evaluation and sweeps need more than "
             "prediction: pip install 'fer-lightning[train,sweep]', or uv run in a checkout.")  # fmt: skip
        return USER_ERROR
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        if not _has_no_reader(sys.stdout):
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python flushes it once more at its end
        return READER_GONE
    return 0


def _has_no_reader(stream: TextIO) -> bool:
    """Whether a stream is a pipe, or a socket, whose other end is closed."""
    try:
        events = select.poll()
        events.register(stream.fileno(), 0)
    except (AttributeError, OSError):  # Windows has no poll, and what a test puts in place is no file
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in events.poll(0))


def _say(text: str) -> None:
    process = os.environ.get("LOCAL_RANK", "0")
    print(text if process == "0" else f"process {process}: {text}", file=sys.stderr)
