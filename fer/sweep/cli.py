"""fer-sweep-report: report the best trial of a sweep, parameter importance and cost, and confirm the best."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.core.command_line import command_parser, run_command
from fer.core.errors import FerError
from fer.core.plugins import PLUGINS_HELP, import_plugins, split_names

_EXAMPLES = """examples:
  fer-sweep-report outputs/multirun/optimizers               of sweep=optimizers; also while it runs
  fer-sweep-report outputs/multirun/2026-11-30_12-00-00      of a grid: fer-train -m optimizer=adam,sgd
  fer-sweep-report FOLDER --confirm 3                        train the best 3 recipes with 3 new seeds each
  fer-sweep-report FOLDER --confirm 5 --best 1               only the best one, with 5 seeds
  fer-sweep-report --name lr --storage postgresql://ME@HOST/DATABASE

The page is FOLDER/report.html: the best trial with its command, plots, cost, and all trials."""

# Number of recipes to confirm.
_BEST = 3


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``fer-sweep-report`` and exit with its status."""
    arguments = _parser().parse_args(argv)
    sys.exit(run_command(lambda: run(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "fer-sweep-report",
        "Report the trials of a sweep or a grid, and train its best recipes with new seeds.",
        _EXAMPLES,
    )
    add = parser.add_argument
    add(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="folder that fer-train -m printed: outputs/multirun/NAME",
    )
    add("--storage", help="sweep.storage of the sweep (default: the address saved in its folder)")
    add("--name", help="sweep.name of the sweep (default: the name of its folder)")
    add("--confirm", type=int, metavar="N", help="train the best recipes again over N new seeds")
    add("--best", type=int, metavar="K", help=f"number of recipes to confirm (default: {_BEST})")
    add("--plugins", type=split_names, default=[], metavar="MODULES", help=PLUGINS_HELP)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Confirm the best recipes if asked to, then write the page and print the summary.

    Raises:
        FerError: There is no such sweep, or a run of the confirmation failed.
    """
    _check(arguments)
    import_plugins(arguments.plugins, "--plugins")
    from fer.sweep.report.confirm import confirm
    from fer.sweep.report.page import report
    from fer.sweep.report.results import load_sweep

    folder = arguments.folder or Path("outputs") / "multirun" / arguments.name
    sweep = load_sweep(folder, arguments.storage, arguments.name)
    if arguments.confirm is not None:
        confirm(sweep, arguments.confirm, arguments.best or _BEST)
        # Confirming may take hours, during which a running sweep adds trials.
        sweep = load_sweep(folder, arguments.storage, arguments.name)
    report(sweep)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.folder is None and arguments.name is None:
        raise FerError(
            "fer-sweep-report: expected a sweep, got none. Give its folder, outputs/multirun/NAME, or --name."
        )
    for option in ("confirm", "best"):
        if (number := getattr(arguments, option)) is not None and number < 1:
            raise FerError(f"--{option}: expected an integer of at least 1, got {number}.")
    if arguments.best is not None and arguments.confirm is None:
        raise FerError("--best: expected --confirm with it, got none. Add --confirm N.")


if __name__ == "__main__":
    main()
