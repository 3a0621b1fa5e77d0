"""fer-sweep-report: what a sweep found, what mattered, what it cost, and whether its best holds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.cli import run_and_explain
from fer.errors import FerError


def main(words: Sequence[str] | None = None) -> None:
    """Report on the sweep of the command line, and exit with its status."""
    arguments = _parser().parse_args(words)
    sys.exit(run_and_explain(lambda: run(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fer-sweep-report", description=__doc__)
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="FOLDER", help="default: outputs/multirun/NAME")
    add("--storage", help="sweep.storage of the sweep, where that is not what its folder says")
    add("--name", help="sweep.name of the sweep (default: the name of its folder)")
    add("--confirm", type=int, metavar="N", help="train the best recipes again over N new seeds")
    add("--best", type=int, default=3, metavar="K", help="how many recipes to confirm (default: 3)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Confirm where asked to, then write the page and print the summary.

    Raises:
        FerError: There is no such sweep, or a run of the confirmation failed.
    """
    _check(arguments)
    from fer.sweep_reporting.confirming import confirm
    from fer.sweep_reporting.found import find_sweep
    from fer.sweep_reporting.report import report

    folder = arguments.folder or Path("outputs") / "multirun" / arguments.name
    sweep = find_sweep(folder, arguments.storage, arguments.name)
    if arguments.confirm is not None:
        confirm(sweep, arguments.confirm, arguments.best)
        sweep = find_sweep(folder, arguments.storage, arguments.name)  # hours later, perhaps
    report(sweep)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.folder is None and arguments.name is None:
        raise FerError("fer-sweep-report: which sweep? Give its folder, outputs/multirun/NAME, or --name.")
    for word in ("confirm", "best"):
        if (number := getattr(arguments, word)) is not None and number < 1:
            raise FerError(f"--{word} {number}: expected a whole number of at least 1.")


if __name__ == "__main__":
    main()
