"""``experiment=RUN``: the config of an earlier run as an experiment, for a new run that may differ from it.

``--config-dir RUN --config-name config``, which Hydra's users type, means the same, also with
``--config-path``. A run folder is data that somebody else may have written: its values are checked as always,
and a ``_target_`` in it is refused.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from fer.core.errors import FerError
from fer.core.names import file_name, quoted
from fer.core.paths import CONFIG_DIR, expand_user
from fer.training.run_folder import read_config
from fer.training.typed import replaced

# Flags of Hydra that take a value.
_WITH_VALUE = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--cfg", "-c",
               "--package", "-p", "--experimental-rerun", "--info", "-i")  # fmt: skip
# Keys that a new run has of its own.
_OWN_KEYS = ("name", "resume", "output_dir", "threads", "test")
# Group -> the choice whose file has no options of its own, for names without a file.
_NEUTRAL = {"model": "timm", "optimizer": "timm"}
# Groups whose choice is not the name in the config.
_UNNAMED = ("augmentation", "trainer", "callbacks", "logger")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return arguments with the flags in front: Hydra's parser accepts overrides on one side of them only."""
    flags, overrides, waiting = [], [], list(arguments)
    while waiting:
        item = waiting.pop(0)
        if not item.startswith("-"):
            overrides.append(item)
            continue
        flags.append(item)
        if item in _WITH_VALUE and waiting and "=" not in waiting[0]:
            flags.append(waiting.pop(0))
    return [*flags, *overrides]


def with_run_config(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which the folder of a run is replaced by an experiment that Hydra knows.

    Raises:
        FerError: The folder is not that of a run, or its config is wrong.
    """
    arguments = _without_config_flags(list(arguments))
    for position, item in enumerate(arguments):
        key, _, value = item.partition("=")
        folder = expand_user(value.strip("\"'")) if key.lstrip("+") == "experiment" and value else None
        if folder is not None and (folder / "config.yaml").is_file():
            typed = f"experiment={folder.absolute()}"
            arguments[position] = replaced(typed, f"experiment={_store(folder, arguments)}")
    return arguments


def with_teachers(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which ``distill=RUN1,RUN2`` is the list ``distill.teachers``.

    In a multirun it stays one list: a sweep over teachers is ``distill.teachers=[RUN1],[RUN2]``.
    """
    result = list(arguments)
    for position, item in enumerate(result):
        key, sign, value = item.partition("=")
        if key.lstrip("+") == "distill" and sign and not value.startswith(("{", "[")):
            names = [name.strip("\"'") for name in value.split(",") if name.strip("\"'")]
            listed = ",".join(quoted(name) for name in names)
            result[position] = replaced(item, f"distill.teachers=[{listed}]")
    return result


def _without_config_flags(arguments: list[str]) -> list[str]:
    """Replace ``--config-dir RUN --config-name config`` by ``experiment=RUN``."""
    values = {}
    for names in (("--config-dir", "-cd", "--config-path", "-cp"), ("--config-name", "-cn")):
        for position, item in enumerate(arguments):
            flag, _, value = item.partition("=")
            if flag in names:
                following = arguments[position + 1] if position + 1 < len(arguments) else ""
                values[names[0]] = (value or following, [item] if value else [item, following])
    folder, name = values.get("--config-dir"), values.get("--config-name")
    if folder is None or name is None or name[0].removesuffix(".yaml") != "config":
        return arguments
    used = [*folder[1], *name[1]]
    return [*(item for item in arguments if item not in used), f"experiment={folder[0]}"]


def _store(folder: Path, arguments: Sequence[str]) -> str:
    """Make the config of a run an experiment of Hydra, and return its name."""
    if any(item in ("-m", "--multirun") for item in arguments):
        raise FerError(
            f"experiment={folder}: expected a single run, got a multirun. Copy its config.yaml to "
            "FOLDER/experiment/NAME.yaml, with '# @package _global_' as its first line, and use --config-dir "
            "FOLDER experiment=NAME."
        )
    config = read_config(folder, f"experiment={folder}")
    chosen = {item.lstrip("+").partition("=")[0] for item in arguments}
    values: dict[str, Any] = {key: value for key, value in config.to_dict().items()
                              if key not in _OWN_KEYS and key not in chosen}  # fmt: skip
    defaults: list[Any] = []
    for group, value in values.items():
        if isinstance(value, dict) and group not in _UNNAMED:
            name = str(value.get("name"))
            # fast_cnn.yaml and fast_cnn_inner.yaml have the same name and other options.
            is_file = (CONFIG_DIR / group / f"{name}.yaml").is_file() and group != "model"
            if is_file or group in _NEUTRAL:
                defaults.append({f"override /{group}": name if is_file else _NEUTRAL[group]})
    base = re.sub(r"_s\d+_[0-9a-f]{4}$", "", config.name).removeprefix("rerun_")
    name = f"rerun_{file_name(base)}"
    node = {"defaults": [*defaults, "_self_"], **values}
    ConfigStore.instance().store(name, node, group="experiment", package="_global_", provider="fer")
    return name
