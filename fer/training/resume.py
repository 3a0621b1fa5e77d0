"""Going on with a run that was stopped: its config, its last checkpoint, and what must not have changed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import yaml

from fer.errors import FerError
from fer.places import at_home
from fer.training.run_folder import read_record

# May be said again when a run goes on: where the data lies now says nothing about what it is.
MOVABLE = ("resume", "output_dir", "name", "datamodule.path")
_MISSING = object()


def stopped_run(given: Mapping[str, Any], touched: Iterable[str]) -> tuple[dict[str, Any], Path]:
    """Return the config of the run to go on with, and its folder.

    The run's own config holds. Options on the command line may repeat it; where they differ, the run would
    be another one, and that is refused.

    Args:
        given: The config as composed from the command line; ``resume`` is the run folder.
        touched: Keys that the command line names; a whole group by its name, everything by ``""``.

    Raises:
        FerError: The folder is no run, its run has finished, or options differ from its config.
    """
    folder = at_home(given["resume"]).resolve()
    own = _read_config(folder)
    _check_unfinished(folder)
    if differing := sorted(_differences(own, given, list(touched)), key=_nested_last):
        shown = "; ".join(differing[:5]) + (f"; and {len(differing) - 5} more" if len(differing) > 5 else "")
        raise FerError(
            f"resume={folder}: these options differ from the run's own config: {shown}. "
            "Leave them out to go on with that run, or leave out resume to begin another."
        )
    if (path := _flat(given).get("datamodule.path")) and "datamodule.path" in touched:
        own["datamodule"]["path"] = path
    return own, folder


def last_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint to go on from; None where the run was stopped before its first.

    Raises:
        FerError: The file is no whole checkpoint.
    """
    path = folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        return None
    if not is_zipfile(path):
        raise FerError(f"{path} is damaged. Delete it, and the run begins anew in its folder.")
    return path


def check_same_data(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with other data.

    Args:
        before: Manifest of the run so far.
        now: Manifest of the data at hand.
        folder: The run folder, for the message.

    Raises:
        FerError: A split differs; the message names the first.
    """
    # splits tell it all; what a carve-out is known by, versions take of other images
    compared = before.keys() - {"carved_sha256"}
    if all(before[key] == now.get(key) for key in compared):
        return
    splits = {**before["splits"], **now["splits"]}
    changed = [role for role in splits if before["splits"].get(role) != now["splits"].get(role)]
    raise FerError(
        f"resume={folder}: the data is not what the run was trained on; {', '.join(changed) or 'the shape'} "
        "differs by its manifest. Give the same data with datamodule.path=…, or begin another run."
    )


def check_same_devices(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on otherwise than the run began, where ``auto`` chooses differently now.

    Args:
        before: Record of the run so far.
        now: ``precision`` and ``processes`` as they would be.
        folder: The run folder, for the message.

    Raises:
        FerError: One of them differs; the message names the first.
    """
    for key, option in (("precision", "trainer.precision"), ("processes", "trainer.devices")):
        then = before.get(key, now[key])
        if then != now[key]:
            raise FerError(
                f"resume={folder}: the run began with {option} {then}, and auto means {now[key]} here. Go on "
                f"where it began, or set {option} in its config.yaml."
            )


def check_same_stem(before: object, now: object, checkpoint: Path) -> None:
    """Refuse to go on with another stem: ``model.stem=auto`` has not always chosen the same.

    Raises:
        FerError: The backbone of the checkpoint has another one.
    """
    then, current = (getattr(backbone, "stem", None) for backbone in (before, now))
    if then != current:
        config = checkpoint.parent.parent / "config.yaml"
        raise FerError(
            f"{checkpoint} was trained with model.stem={then}, where auto is {current} by now. "
            f"Write stem: {then} into the model part of {config}, and go on."
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FerError(
            f"resume={folder}: expected the folder of a run with its config.yaml in it, but {path} cannot be "
            "read. Give the folder that fer-train printed."
        ) from error
    if not isinstance(config, dict) or not {"datamodule", "model", "trainer"} <= config.keys():
        raise FerError(f"resume={folder}: {path.name} is not the config of a run. Give a run's folder.")
    return config


def _check_unfinished(folder: Path) -> None:
    if read_record(folder).get("status") == "finished":
        raise FerError(
            f"resume={folder}: this run has finished; there is nothing to go on with. "
            "To train its weights further, begin a run with model.init_from= this folder."
        )


def _differences(own: Mapping[str, Any], given: Mapping[str, Any], touched: list[str]) -> Iterable[str]:
    before, now = _flat(own), _flat(given)
    for key in before.keys() | now.keys():
        is_touched = any(name in ("", key) or key.startswith(f"{name}.") for name in touched)
        old, new = before.get(key, _MISSING), now.get(key, _MISSING)
        if is_touched and key not in MOVABLE and old != new:
            yield f"{key} {_show(old)} -> {_show(new)}"


def _nested_last(difference: str) -> tuple[int, str]:
    key = difference.partition(" ")[0]
    return key.count("."), key


def _show(value: Any) -> str:
    return "(none)" if value is _MISSING else json.dumps(value, default=str)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value; an empty group has no key."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
        flat |= inner
    return flat
