"""A registered version as a W&B artifact, on the page of the run that trained it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer.bundle.card import to_json
from fer.bundle.files import Bundle
from fer.training.loggers import finish_wandb, start_wandb

_DEFAULTS: dict[str, Any] = {"project": "fer", "entity": None, "group": None, "tags": []}
KIND = "model"


def send(bundle: Bundle, folder: Path, config: Mapping[str, Any], aliases: list[str]) -> None:
    """Send a version to W&B: online where somebody is logged in, else into a folder to sync later.

    Args:
        bundle: Of a registry.
        folder: Of the run that trained it, whose page it goes to.
        config: Of that run.
        aliases: What the version is called there.
    """
    import wandb

    options = (config.get("logger") or {}).get("wandb") or _DEFAULTS
    run = start_wandb(options, folder, config)
    failed = True
    try:
        artifact = wandb.Artifact(bundle.card.name, type=KIND, metadata=json.loads(to_json(bundle.card)))
        artifact.add_dir(str(bundle.folder))
        run.log_artifact(artifact, aliases=aliases)
        failed = False
    finally:
        finish_wandb(run, failed)
