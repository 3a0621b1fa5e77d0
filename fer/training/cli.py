"""fer-train, the installed command: starts the Hydra application in `fer.training.hydra_app`.

Options are checked, and mistyped ones explained, in `fer.training.config`.

Hydra is imported inside `run_command`, which reports a missing package in one line.
"""

import sys

from fer.core.command_line import package_version, run_command


def main() -> None:
    """Run ``fer-train`` and exit with its status."""
    if "--version" in sys.argv[1:]:
        print(f"fer-train {package_version()}")
        sys.exit(0)
    sys.exit(run_command(_train))


def _train() -> None:
    from fer.training.hydra_app import main

    main()


if __name__ == "__main__":
    main()
