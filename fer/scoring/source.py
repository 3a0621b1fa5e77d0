"""Which data to score: the run's own, the same elsewhere, or another set."""

from collections.abc import Mapping
from typing import Any

import yaml

from fer.config_dir import CONFIG_DIR
from fer.errors import FerError, did_you_mean
from fer.places import at_home

KINDS = ("affectnet", "fer2013", "ferplus", "folder", "rafdb")


def data_options(
    config: Mapping[str, Any], path: str | None = None, other: str | None = None
) -> dict[str, Any]:
    """Return the datamodule options for `fer.data.sources.read`.

    Args:
        config: Of the run, resolved.
        path: Where its data lies now; ``None`` where it was.
        other: ``kind:path`` of another set, the kind being one of `KINDS`. It is read with the defaults of
            ``conf/datamodule``, or, where the run was trained on this kind, with the options of the run.

    Raises:
        FerError: The kind is unknown, both are given, or the run's data has no single path to move.
    """
    own = dict(config["datamodule"])
    if other is None:
        return _fill(own, config) if path is None else _move(_fill(own, config), path)
    if path is not None:
        raise FerError("--path moves the run's own data and --data takes another set: give one of them.")
    kind, _, place = other.partition(":")
    if kind not in KINDS or not place:
        raise FerError(
            f"--data {other}: expected kind:path with one of these kinds: {', '.join(KINDS)}; for example "
            f"folder:$HOME/data/CK+.{did_you_mean(kind, KINDS)}"
        )
    return _move(_fill(own if own["name"] == kind else {"name": kind}, config), place)


def _fill(options: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Add what a config of an older version, or one of a mere name, lacks."""
    file = CONFIG_DIR / "datamodule" / f"{options['name']}.yaml"
    defaults: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if defaults.get("size") == "${model.image_size}":
        defaults["size"] = config["model"]["image_size"]
    return defaults | options


def _move(options: dict[str, Any], path: str) -> dict[str, Any]:
    if "path" not in options:
        raise FerError(
            f"--path {path}: the run was trained on {options['name']}, which has no single path. "
            "Leave it out, or take another set with --data kind:path."
        )
    return options | {"path": str(at_home(path))}
