"""Reference of all commands: the answer of each to ``--help``."""

import functools
import os
import re
import subprocess
import sys
import tomllib

from repository_links import ROOT

_SUBCOMMANDS = re.compile(r"^  \{?([a-z]+(?:[|,][a-z]+)+)\}?$", re.MULTILINE)
_ORDER = ("train", "evaluate", "compare", "export", "predict", "models", "benchmark", "app", "sweep-report")


def commands() -> dict[str, str]:
    """Return the commands of ``[project.scripts]`` and their entry points, in the order of use."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    known = [f"fer-{name}" for name in _ORDER if f"fer-{name}" in scripts]
    return {name: scripts[name] for name in (*known, *sorted(set(scripts) - set(known)))}


def commands_page() -> str:
    """Return the Markdown of the help of all commands."""
    parts = []
    for command, entry in commands().items():
        text = help_of(command, entry)
        parts.append(f"## {command}\n\n{_block(text)}")
        names = _SUBCOMMANDS.search(text)
        for name in re.split(r"[|,]", names[1]) if names and command != "fer-train" else ():
            parts.append(f"### {command} {name}\n\n{_block(help_of(command, entry, name))}")
    return "\n\n".join(parts)


@functools.cache
def help_of(command: str, entry: str, *words: str) -> str:
    """Return what a command prints for ``--help``.

    Raises:
        RuntimeError: The command failed.
    """
    module, _, function = entry.partition(":")
    code = f"import sys; sys.argv[0] = {command!r}; from {module} import {function}; sys.exit({function}())"
    environment = os.environ | {"COLUMNS": "88", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code, *words, "--help"], env=environment, capture_output=True, text=True
    )
    if result.returncode:
        raise RuntimeError(
            f"{command} --help: expected exit status 0, got {result.returncode}.\n{result.stderr}"
        )
    return result.stdout.rstrip()


def _block(text: str) -> str:
    return f"````text\n{text}\n````"
