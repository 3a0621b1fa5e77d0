"""The run folder: its name, and reading and writing ``config.yaml`` and ``metrics.csv``."""

import csv
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from fer.core.errors import FerError
from fer.core.names import file_name, is_unicode
from fer.core.paths import atomic_write
from fer.training.config import RunConfig
from fer.training.metrics import current_names

# Rows of metrics.csv, one per epoch: metric -> value.
Rows = Sequence[Mapping[str, float]]
# The name of a run folder: TIME_STEM_sSEED_TAG.
RUN_NAME = re.compile(r"(?:\d\d-\d\d-\d\d_)?(?P<stem>.+)_s\d+_(?P<tag>[0-9a-f]{4})")


def run_name(experiment: str | None, datamodule: str, model: str, seed: int) -> str:
    """Return ``<experiment or datamodule_model>_s<seed>_<4 hex>``, of letters, digits and ``._-`` only."""
    return f"{file_name(experiment or f'{datamodule}_{model}')}_s{seed}_{secrets.token_hex(2)}"


def check_folder(folder: Path) -> None:
    """Check the path of a run folder.

    Lightning would read ``a::b`` as two chained addresses, and write the checkpoints elsewhere.

    Raises:
        FerError: The path has ``::``, a NUL, or bytes that are not UTF-8.
    """
    text = str(folder)
    if "::" in text or "\0" in text or not is_unicode(text):
        raise FerError(
            f"output_dir: expected a path of Unicode text without '::', got {text!a}. Choose another folder."
        )


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved config as ``config.yaml``."""
    text = yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)
    with atomic_write(folder / "config.yaml") as file:
        file.write(text.encode())


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


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Read the ``metrics.csv`` of a run of any version. A metric that an epoch lacks is not in its row.

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
    return current_names({name: float(value) for name, value in row.items() if value})
