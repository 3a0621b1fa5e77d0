"""What every command line shares: mistakes of the user end in one clear line and exit status 2."""

import os
import sys
from collections.abc import Callable

from fer.errors import FerError

USER_ERROR, INTERRUPTED = 2, 130


def run_and_explain(command: Callable[[], object]) -> int:
    """Run a command and return its exit status.

    A `FerError` becomes ``error: …`` on standard error and status 2, and so does a library that is not
    installed; Ctrl-C becomes status 130. Anything else is a defect of ours, and shows its traceback. Of
    several processes of a run the first alone speaks.
    """
    try:
        command()
    except FerError as error:
        _say(f"error: {error}")
        return USER_ERROR
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "fer":
            raise
        _say(f"error: {error.name} is not installed. Training, evaluation and export need more than "
             "prediction does: pip install 'fer-lightning[train]', or uv run in a checkout.")  # fmt: skip
        return USER_ERROR
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    return 0


def _say(text: str) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(text, file=sys.stderr)
