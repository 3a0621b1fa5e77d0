"""What every command line shares: mistakes of the user end in one clear line and exit status 2."""

import sys
from collections.abc import Callable

from fer.errors import FerError

USER_ERROR, INTERRUPTED = 2, 130


def run_and_explain(command: Callable[[], object]) -> int:
    """Run a command and return its exit status.

    A `FerError` becomes ``error: …`` on standard error and status 2; Ctrl-C becomes status 130. Anything else
    is a defect of ours, and shows its traceback.
    """
    try:
        command()
    except FerError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0
