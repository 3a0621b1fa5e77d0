"""The installed command fer-train; reports a missing dependency if only prediction was installed."""

import sys

from fer.cli import run_command


def main() -> None:
    """Run ``fer-train`` and exit with its status."""
    sys.exit(run_command(_train))


def _train() -> None:
    from fer.train import main

    main()
