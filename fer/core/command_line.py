"""What all command lines share: exit statuses, one-line errors, and passwords kept out of addresses.

A mistake of the user is printed as one line and gives exit status 2 (`run_command`). The password of a
PostgreSQL address moves to an environment variable, so that no config, log or message contains it
(`without_password`).
"""

import argparse
import gc
import io
import math
import os
import re
import select
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

from fer.core.errors import FerError, installation_hint
from fer.core.installation import check_installation
from fer.core.threads import share_cores

USER_ERROR, INTERRUPTED = 2, 130
_PACKAGE = Path(__file__).resolve().parent.parent
# The status that a shell reports for a program killed by SIGPIPE: the output was cut short, so not a success.
BROKEN_PIPE = 141
# Regular expressions.
POSTGRESQL_SCHEME = r"postgres(?:ql)?(?:\+\w+)?://"
_USER_PASSWORD = re.compile(rf"({POSTGRESQL_SCHEME}[^:@/]*):(.*?)@([^@?]*(?:\?\w+=.*)?)$")
# The last password= of an address, because PostgreSQL uses the last one.
_PASSWORD_PARAMETER = re.compile(rf"({POSTGRESQL_SCHEME}.*[?&])password=([^&'\"\s}}]*)&?")


def run_command(command: Callable[[], object]) -> int:
    """Run a command and return its exit status.

    - 0: success.
    - 2: a `FerError`, printed as ``error: …`` on standard error, or a library that is not installed.
    - 130: Ctrl-C.
    - 141: the reader of standard output closed it (``| head``). Nothing is printed.

    Any other exception is a bug and propagates with its traceback, and so does a broken pipe other than
    standard output. In a distributed run every process prints its own error, with its rank.
    """
    _escape_unprintable(sys.stdout)
    warnings.formatwarning = _format_warning
    try:
        check_installation()
        share_cores()
        command()
        # Write buffered output here, where errors are handled.
        sys.stdout.flush()
    except FerError as error:
        _print_error(f"error: {error}")
        return USER_ERROR
    except ModuleNotFoundError as error:
        if (hint := installation_hint(error)) is None:
            raise
        _print_error(f"error: {hint}")
        return USER_ERROR
    except KeyboardInterrupt as error:
        # A command may say how to continue.
        _print_error(f"interrupted. {error}" if error.args else "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        if not _reader_is_gone(sys.stdout):
            raise
        # Python flushes standard output once more at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return 0


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import large libraries in this context a fifth faster.

    Their objects are no garbage, so that collections during the import find nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def command_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a command, with ``--version``, and examples below its options."""
    parser = argparse.ArgumentParser(
        name, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    return parser


class _Version(argparse.Action):
    """Print program and version, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {package_version()}")
        parser.exit()


def package_version() -> str:
    """Return the version of this package; ``unknown`` if it is not installed."""
    # Imported here, because it takes a tenth of the time of --help.
    from importlib import metadata

    try:
        return metadata.version("fer-lightning")
    except metadata.PackageNotFoundError:
        return "unknown"


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning of this package as one line; the line of code that it comes from helps no user."""
    if category is UserWarning and Path(filename).is_relative_to(_PACKAGE):
        return f"WARNING: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def _escape_unprintable(stream: TextIO) -> None:
    """Let a stream print characters that it cannot encode as ``\\u00e9``, instead of raising an error."""
    # A stream that a test puts in place may not be a TextIOWrapper.
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _reader_is_gone(stream: TextIO) -> bool:
    """Return whether a stream is a pipe or socket whose other end is closed."""
    try:
        events = select.poll()
        events.register(stream.fileno(), 0)
    except (AttributeError, OSError):
        # Windows has no poll, and a stream that a test puts in place has no file descriptor.
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in events.poll(0))


def _print_error(text: str) -> None:
    rank = os.environ.get("LOCAL_RANK", "0")
    print(text if rank == "0" else f"process {rank}: {text}", file=sys.stderr)


def positive_integer(text: str) -> int:
    """Return the integer of an argument of the command line, at least 1."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return int(text)


def number(expected: str, is_valid: Callable[[float], bool]) -> Callable[[str], float]:
    """Return the type of a number on the command line; ``expected`` is for the message on another one."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


def without_password(text: str) -> str:
    """Return an address, or a command-line override with one, without its password.

    The password is put into the environment variable ``PGPASSWORD``, where PostgreSQL's client library reads
    it, in this process and in every worker that inherits the environment. No config, log, pickle or W&B run
    ever contains it.
    """
    if match := _USER_PASSWORD.search(text):
        os.environ["PGPASSWORD"] = unquote(match[2])
        text = _USER_PASSWORD.sub(r"\1@\3", text)
    if match := _PASSWORD_PARAMETER.search(text):
        os.environ["PGPASSWORD"] = unquote(match[2])
        while _PASSWORD_PARAMETER.search(text):
            text = re.sub(r"[?&]+(?=['\"\s}]|$)", "", _PASSWORD_PARAMETER.sub(r"\1", text))
    return text


def mask_password(text: str) -> str:
    """Return an address of an unknown form with anything that may be a password replaced by ``***``."""
    hidden = re.sub(r"((?:^|/)[^:/@\s]+):(?!/).*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s'\"]*", r"\1***", hidden)
