"""fer-train as it is installed: says what is missing where only prediction was installed."""

import sys

from fer.cli import run_and_explain


def main() -> None:
    """Run ``fer-train`` and exit with its status."""
    sys.exit(run_and_explain(_train))


def _train() -> None:
    from fer.train import main

    main()
