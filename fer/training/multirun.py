"""The arguments of ``fer-train -m``, rewritten so that Hydra can compose a config before the sweep starts.

Hydra composes one config before it calls the sweeper, and leaves out the overrides with several values. So
``-m experiment=a,b datamodule.path=…`` would be refused: without an experiment there is no such key. Here
each of them gets its first value, and the sweeper gets all values in ``sweep.grid``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fer.core.errors import FerError
from fer.core.names import override, quoted
from fer.core.paths import CONFIG_DIR, atomic_write, expand_user
from fer.core.plugins import as_override, check_loaded, split_names
from fer.training.grid import Grid, common_error, parse_grid
from fer.training.overrides import explain_hydra_error, hydra_overrides

# File in a sweep's folder with the overrides that started it.
_FILE = "overrides.yaml"
# Overrides with several values; set by `rewritten` only.
_GRID_KEY = "sweep.grid"
# Overrides that are set again when a sweep is resumed.
_OF_SESSION = ("hydra.sweep.dir", "sweep.resume", "sweep.name")


def rewritten(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra; those of a single run are unchanged, else options are first.

    Raises:
        FerError: A value of the grid is wrong, or there is no sweep to resume.
    """
    parsed, rest = get_args_parser().parse_known_args([*arguments])
    overrides = [*parsed.overrides, *(item for item in rest if not item.startswith("-"))]
    flags = [item for item in arguments if item not in overrides]
    if (folder := _resumed_folder(overrides)) is not None:
        overrides = _stored_overrides(folder, overrides)
        flags += [] if parsed.multirun else ["-m"]
    elif not (parsed.multirun or "hydra.mode=MULTIRUN" in overrides or _value(overrides, "sweep")):
        return list(arguments)
    if _value(overrides, "hydra/sweeper") not in (None, "fer"):
        return [*flags, *overrides]
    try:
        grid = parse_grid(overrides)
    except HydraException:
        # Hydra raises it again, where it is explained.
        return [*flags, *overrides]
    return [*flags, *_with_first_values(grid, overrides)]


def _with_first_values(grid: Grid, overrides: Sequence[str]) -> list[str]:
    first = [words[0] for words in grid.values.values()]
    lines = [item for item in overrides if item.partition("=")[0] in grid.values]
    passed = [f"++{_GRID_KEY}=[{','.join(map(quoted, lines))}]"] if lines else []
    if _value(overrides, "sweep") is None:
        options = [item for item in grid.fixed if item.lstrip("+").startswith("sweep.")]
        passed += ["sweep=grid"] if lines or options else []
        grid = Grid([item for item in grid.fixed if item != "sweep=null"], grid.values)
    return [*grid.fixed, *first, *passed]


def grid_error(arguments: Sequence[str]) -> FerError | None:
    """Return which trials of a grid Hydra cannot compose, after it has refused the first one.

    Args:
        arguments: Of the command line.

    Returns:
        One error for all of them; None if the arguments are no grid, or each trial can be composed.
    """
    parsed, rest = get_args_parser().parse_known_args([*rewritten(arguments)])
    search_path = [f"hydra.searchpath=[{quoted('file://' + parsed.config_dir)}]"] if parsed.config_dir else []
    overrides = [item for item in parsed.overrides if not is_moved(item)]
    lines = moved_lines(parsed.overrides)
    if not lines or rest:
        return None
    grid = parse_grid(lines)
    fixed = [item for item in overrides if item.partition("=")[0] not in grid.values]
    trials = grid.trials()
    errors = {
        number: error
        for number, words in enumerate(trials)
        if (error := _composition_error([*search_path, *fixed, *words]))
    }
    return common_error(errors, trials)


def moved_lines(overrides: Sequence[str]) -> list[str]:
    """Return the overrides with several values that `rewritten` has put into ``sweep.grid``."""
    passed = [item for item in overrides if is_moved(item)]
    values: list[Any] = [item.value() for item in OverridesParser.create().parse_overrides(passed)]
    return [str(line) for lines in values for line in lines]


def is_moved(override: str) -> bool:
    """Return whether an override is that of ``sweep.grid``, which `rewritten` has added."""
    return override.startswith(f"++{_GRID_KEY}=")


def _composition_error(overrides: list[str]) -> FerError | None:
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            hydra.compose("train", overrides=overrides)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        return explain_hydra_error(error, overrides)
    return None


def save_overrides(folder: Path, config: DictConfig, name: str) -> None:
    """Write the overrides of the command line into a sweep's folder, to resume it without typing them again.

    Args:
        folder: The sweep's folder.
        config: The composed config, including ``hydra``.
        name: Name of the study.
    """
    task = [str(item) for item in config.hydra.overrides.task]
    grid = moved_lines(task)
    swept = {line.partition("=")[0] for line in grid}
    kept = [
        item for item in [*hydra_overrides(config), *task]
        if item.partition("=")[0] not in (*swept, *_OF_SESSION, f"++{_GRID_KEY}")
    ]  # fmt: skip
    text = yaml.safe_dump([*kept, *grid, f"sweep.name={name}"], allow_unicode=True)
    with atomic_write(folder / _FILE) as file:
        file.write(text.encode())


def resume_command(folder: Path) -> str:
    """Return the command that resumes a sweep."""
    return f"fer-train -m {override('sweep.resume', str(folder))}{as_override()}"


def _resumed_folder(overrides: Sequence[str]) -> Path | None:
    """Return the folder that ``sweep.resume`` names; None if it is true, false or not given."""
    value = _value(overrides, "sweep.resume")
    if value is None or value.lower() in ("", "true", "false", "null"):
        return None
    (item,) = OverridesParser.create().parse_overrides([f"sweep.resume={value}"])
    return expand_user(str(item.value())).resolve()


def _stored_overrides(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return the overrides of an earlier start of a sweep, with those of the command line instead of its own.

    Raises:
        FerError: The folder has no sweep.
    """
    try:
        stored = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise FerError(
            f"sweep.resume: expected true, or the folder of a sweep, got {folder}, which has no {_FILE}. "
            "Give the folder that fer-train printed at the start of the sweep."
        ) from error
    new = [item for item in overrides if item.partition("=")[0] != "sweep.resume"]
    check_loaded(split_names(_value(stored, "plugins") or ""), f"sweep.resume={folder}")
    keys = {item.lstrip("+").partition("=")[0] for item in new}
    kept = [str(item) for item in stored if str(item).lstrip("+").partition("=")[0] not in keys]
    return [*kept, *new, f"hydra.sweep.dir={quoted(str(folder))}", "sweep.resume=true"]


def _value(overrides: Sequence[str], key: str) -> str | None:
    """Return the value of the last override of a key as it was typed; None without one, or if it is null."""
    values = [item.partition("=")[2] for item in overrides if item.lstrip("+").partition("=")[0] == key]
    return values[-1] if values and values[-1] != "null" else None
