"""The run folder: its name, and reading and writing ``config.yaml``, ``run.json`` and ``metrics.csv``."""

import csv
import json
import os
import platform
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import fer
from fer.core.errors import FerError
from fer.core.paths import atomic_write
from fer.training.config import RunConfig

PACKAGES = ("fer-lightning", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "numpy")
# Rows of metrics.csv, one per epoch: metric -> value.
Rows = Sequence[Mapping[str, float]]


def run_name(experiment: str | None, datamodule: str, model: str, seed: int) -> str:
    """Return ``<experiment or datamodule_model>_s<seed>_<4 hex>``, of letters, digits and ``._-`` only."""
    stem = experiment or f"{datamodule}_{model}"
    clean = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in stem)
    return f"{clean}_s{seed}_{secrets.token_hex(2)}"


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved config as ``config.yaml``."""
    _write(folder / "config.yaml", yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True))


def read_config(folder: Path, option: str | None = None) -> RunConfig:
    """Return the config of a run.

    Args:
        folder: The run folder.
        option: The option that names it, for messages.

    Raises:
        FerError: ``config.yaml`` is missing, damaged, or not the config of a run.
    """
    path = folder / "config.yaml"
    advice = "Use the folder that fer-train printed."
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FerError(
            f"{option or folder}: expected a run folder with a config.yaml, but {path} cannot be read. "
            f"{advice}"
        ) from error
    if not isinstance(config, dict) or not {"datamodule", "model", "trainer"} <= config.keys():
        raise FerError(
            f"{option or folder}: expected the config of a run in {path.name}, got something else. {advice}"
        )
    return RunConfig.from_dict(config)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``: command, environment, data manifest, status and results."""
    _write(folder / "run.json", json.dumps(record, indent=2) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """Return the content of ``run.json``; empty if the file is missing or damaged."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Read the ``metrics.csv`` of a run. A metric that an epoch lacks is not in its row.

    Raises:
        FerError: The file is missing or not a table of numbers.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except OSError as error:
        raise FerError(
            f"{path}: expected a readable file, got {error.strerror!r}. Use the metrics.csv of a run folder."
        ) from error
    except (ValueError, TypeError) as error:
        raise FerError(
            f"{path}: expected one row of numbers per epoch, as fer-train writes; {error}."
        ) from error


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if value}


def command_line() -> str:
    """Return the command that started this process, with passwords in URLs (``://user:password@``) masked."""
    return re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", shlex.join(["fer-train", *sys.argv[1:]]))


@cache
def environment() -> dict[str, Any]:
    """Return package versions, commit and machine, for reproducibility.

    Cached because a process runs the code that it loaded, even if another commit is checked out meanwhile.
    """
    return {
        "python": sys.version.split()[0],
        "versions": {name: package_version(name) for name in PACKAGES},
        "commit": _commit(),
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def _commit() -> str | None:
    """Return the commit of the checkout that this code is in, with ``+`` if tracked files were changed."""
    checkout = Path(fer.__file__).resolve().parent.parent
    # An installed package may be inside another project's checkout.
    if not (checkout / ".git").exists():
        return None
    try:
        head = _git(checkout, "rev-parse", "HEAD")
        return head + ("+" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
