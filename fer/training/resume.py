"""Resuming a stopped run: its config, its last checkpoint, and checks that data and hardware are the same."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from fer.core.config import flatten
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.plugins import check_loaded
from fer.data.config import with_former_groups
from fer.training.callback_config import OwnParts, format_node
from fer.training.config import RunConfig
from fer.training.run_folder import read_config
from fer.training.run_record import STARTING, RunRecord, read_record

# Options that may differ when a run is resumed; the manifest identifies the data, wherever it is stored.
CHANGEABLE_KEYS = ("resume", "output_dir", "name", "datamodule.path", "test", "plugins")
_MISSING = object()
# Defaults of earlier versions, for which null stands now.
_FORMER_DEFAULTS = {"logger.wandb.project": "fer"}


def load_stopped_run(config: RunConfig, overridden: Iterable[str]) -> tuple[RunConfig, Path]:
    """Return the config and the folder of the run to resume.

    The stored config is used. Options on the command line may repeat its values, but not change them.

    Args:
        config: The config as composed from the command line; ``resume`` is the run folder or its
            ``checkpoints/last.ckpt``.
        overridden: Keys on the command line; a config group by its name, ``""`` for all keys.

    Raises:
        FerError: The folder is not a run, its run has finished, or options differ from its config.
    """
    assert config.resume is not None
    folder = _run_folder(expand_user(config.resume).resolve())
    if read_record(folder).status == STARTING and not (folder / "config.yaml").exists():
        raise FerError(
            f"resume={folder}: expected a stopped run, but this one was killed before it wrote its "
            "config. Delete the folder and start the run again."
        )
    stored = read_config(folder, f"resume={folder}")
    check_loaded(stored.plugins, f"resume={folder}")
    _check_unfinished(folder)
    overridden = list(overridden)
    if differences := sorted(_differences(stored.to_dict(), config.to_dict(), overridden), key=_nested_last):
        shown = "; ".join(differences[:5])
        shown += f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise FerError(
            f"resume={folder}: expected the options of the run's config.yaml, got other values: {shown}. "
            "Remove these options to resume the run, or remove resume to start a new run."
        )
    own_parts = _own_parts(config, folder, overridden)
    stored = stored.replace(own_parts=own_parts, test=config.test if "test" in overridden else stored.test)
    if "datamodule.path" in overridden and (path := getattr(config.data, "path", None)):
        stored = stored.with_path(path)
    data = stored.datamodule and with_former_groups(stored.datamodule)
    return stored.replace(datamodule=data), folder


def _own_parts(config: RunConfig, folder: Path, overridden: Sequence[str]) -> OwnParts | None:
    """Return the callbacks, loggers and profiler that the command line names by ``_target_``.

    The run folder, which somebody else may have written, is not asked for them.

    Raises:
        FerError: The run was started with one that is not on the command line.
    """
    nodes = config.own_parts.nodes if config.own_parts else {}
    for key, node in (read_record(folder).own_parts or {}).items():
        if key not in nodes and key not in overridden:
            raise FerError(
                f"resume={folder}: expected {key} on the command line, as when the run was started: "
                f"a run folder names no code to run. Add {shlex.quote(f'+{key}={format_node(node)}')}, or "
                f"+{key}=null to resume without it."
            )
    return config.own_parts


def _run_folder(path: Path) -> Path:
    """Return the run folder, given it or its last checkpoint.

    Raises:
        FerError: It is another file.
    """
    if not path.is_file():
        return path
    folder = path.parent.parent
    if path.name == "last.ckpt" and path.parent.name == "checkpoints":
        return folder
    is_best = path.parent.name == "checkpoints"
    raise FerError(
        f"resume={path}: expected a run folder or its checkpoints/last.ckpt, got another file. "
        + (
            f"A run is resumed from its last checkpoint: resume={folder}. To train these weights in a new "
            f"run: model.init_from={path}."
            if is_best
            else f"To start from its weights: model.init_from={path}."
        )
    )


def last_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint to resume from; None if the run was stopped before its first one.

    Raises:
        FerError: The file is damaged.
    """
    path = folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        return None
    if not is_zipfile(path):
        raise FerError(
            f"{path}: expected a checkpoint, got a damaged file. Delete it to restart the run in its folder."
        )
    return path


def check_same_data(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Check that a run is resumed with the data that it was started with.

    Args:
        before: Stored manifest of the run.
        now: Manifest of the current data.
        folder: The run folder, for the message.

    Raises:
        FerError: The manifests differ; the message names the splits.
    """
    # The hashes of the splits are sufficient; how carved_sha256 is computed has changed between versions.
    compared = before.keys() - {"carved_sha256"}
    if all(before[key] == now.get(key) for key in compared):
        return
    splits = {**before["splits"], **now["splits"]}
    changed = [role for role in splits if before["splits"].get(role) != now["splits"].get(role)]
    raise FerError(
        f"resume={folder}: expected the data that the run was started with, but the manifest differs in "
        f"{', '.join(changed) or 'image shape or labels'}. Set datamodule.path to the same data, or start a "
        "new run."
    )


def check_same_devices(before: RunRecord, precision: str, processes: int, folder: Path) -> None:
    """Check that a run is resumed with the same precision and number of processes.

    They can differ between machines if the option is ``auto``.

    Args:
        before: Stored record of the run.
        precision: Current precision.
        processes: Current number of processes.
        folder: The run folder, for the message.

    Raises:
        FerError: One of them differs; the message names the first.
    """
    options = {
        "trainer.precision": (before.precision, precision),
        "trainer.devices": (before.processes, processes),
    }
    for option, (expected, current) in options.items():
        if expected not in (None, current):
            raise FerError(
                f"resume={folder}: expected {option}={expected}, as when the run was started, but auto "
                f"selects {current} here. Resume on the same kind of machine, or set {option} in its "
                "config.yaml."
            )


def check_same_run(trained: str | None, run_id: str | None, checkpoint: Path) -> None:
    """Check that a checkpoint is of the run in its folder.

    Args:
        trained: Id of the run that wrote the checkpoint.
        run_id: Id of the run in the folder.
        checkpoint: The file, for the message.

    Raises:
        FerError: It is of another run.
    """
    if trained != run_id:
        raise FerError(
            f"{checkpoint}: expected a checkpoint of the run in this folder, got one of another run. Start "
            "the run again in a new folder, or delete the checkpoints of the other run and resume."
        )


def check_same_stem(trained: object, current: object, checkpoint: Path) -> None:
    """Check that a run is resumed with the stem of its checkpoint.

    The choice of ``model.stem=auto`` may differ between versions.

    Args:
        trained: Backbone of the checkpoint.
        current: Backbone of the run.
        checkpoint: Its file, for the message.

    Raises:
        FerError: The stems differ.
    """
    expected, stem = (getattr(backbone, "stem", None) for backbone in (trained, current))
    if expected != stem:
        config = checkpoint.parent.parent / "config.yaml"
        raise FerError(
            f"{checkpoint}: expected model.stem={expected}, as in training, but auto selects {stem} now. "
            f"Set stem: {expected} under model in {config}."
        )


def _check_unfinished(folder: Path) -> None:
    if read_record(folder).status == "finished":
        raise FerError(
            f"resume={folder}: expected a stopped run, but this run has finished. To train its weights "
            f"further, start a new run with model.init_from={folder}."
        )


def _differences(
    stored: Mapping[str, Any], config: Mapping[str, Any], overridden: list[str]
) -> Iterable[str]:
    """Yield ``key old -> new`` for each overridden key whose value differs."""
    before, now = flatten(stored), flatten(config)
    for key in before.keys() | now.keys():
        is_overridden = any(name in ("", key) or key.startswith(f"{name}.") for name in overridden)
        old, new = before.get(key, _MISSING), now.get(key, _MISSING)
        is_changed = _without_default(key, old) != _without_default(key, new)
        if is_overridden and key not in CHANGEABLE_KEYS and is_changed:
            yield f"{key} {_format_value(old)} -> {_format_value(new)}"


def _without_default(key: str, value: Any) -> Any:
    return None if _FORMER_DEFAULTS.get(key) == value else value


def _nested_last(difference: str) -> tuple[int, str]:
    """Return a sort key that puts keys of groups after top-level keys."""
    key = difference.partition(" ")[0]
    return key.count("."), key


def _format_value(value: Any) -> str:
    return "(none)" if value is _MISSING else json.dumps(value, default=str)
