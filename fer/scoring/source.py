"""Options of the data set to score: the run's own, the same at another path, or another data set."""

from collections.abc import Mapping
from typing import Any

import yaml

from fer.config_dir import CONFIG_DIR
from fer.errors import FerError, did_you_mean
from fer.places import expand_user

KINDS = ("affectnet", "fer2013", "ferplus", "folder", "rafdb")


def data_options(
    config: Mapping[str, Any], path: str | None = None, other: str | None = None
) -> dict[str, Any]:
    """Return the datamodule options for `fer.data.sources.read_dataset`.

    Args:
        config: Of the run, resolved.
        path: Where its data is now; ``None`` if it has not moved.
        other: ``kind:path`` of another data set, with one of `KINDS`. It is read with the options of the run
            if that was trained on the same kind, otherwise with the defaults of ``conf/datamodule``.

    Raises:
        FerError: The kind is unknown, both are given, or the run's data has no single path to replace.
    """
    own = dict(config["datamodule"])
    if other is None:
        return _add_defaults(own, config) if path is None else _set_path(_add_defaults(own, config), path)
    if path is not None:
        raise FerError(
            "--path and --data: expected one of them, got both. --path is the new path of the run's own "
            "data, --data is another data set."
        )
    kind, _, new_path = other.partition(":")
    if kind not in KINDS or not new_path:
        raise FerError(
            f"--data {other}: expected kind:path with one of these kinds: {', '.join(KINDS)}; for example "
            f"folder:$HOME/data/CK+.{did_you_mean(kind, KINDS)}"
        )
    return _set_path(_add_defaults(own if own["name"] == kind else {"name": kind}, config), new_path)


def _add_defaults(options: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Add the default of each option that is missing, as in the config of an older version."""
    file = CONFIG_DIR / "datamodule" / f"{options['name']}.yaml"
    defaults: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if defaults.get("size") == "${model.image_size}":
        defaults["size"] = config["model"]["image_size"]
    return defaults | options


def _set_path(options: dict[str, Any], path: str) -> dict[str, Any]:
    if "path" not in options:
        raise FerError(
            f"--path {path}: expected a run whose data has a single path, got one trained on "
            f"{options['name']}. Omit --path, or score another data set with --data kind:path."
        )
    return options | {"path": str(expand_user(path))}
