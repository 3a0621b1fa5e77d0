"""Log a registered version as a W&B artifact of the run that trained it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer.bundle.card import to_json
from fer.bundle.files import Bundle
from fer.training.loggers import finish_wandb, start_wandb

_DEFAULTS: dict[str, Any] = {"project": "fer", "entity": None, "group": None, "tags": []}
ARTIFACT_TYPE = "model"


def log_artifact(bundle: Bundle, folder: Path, config: Mapping[str, Any], aliases: list[str]) -> None:
    """Log a registered bundle to W&B: online if the user is logged in, else offline, to be synced later.

    Args:
        bundle: The bundle in the registry.
        folder: Folder of the run that trained the model; the artifact is logged to that W&B run.
        config: Config of that run.
        aliases: Aliases of the artifact version.
    """
    import wandb

    options = (config.get("logger") or {}).get("wandb") or _DEFAULTS
    run = start_wandb(options, folder, config)
    failed = True
    try:
        artifact = wandb.Artifact(
            bundle.card.name, type=ARTIFACT_TYPE, metadata=json.loads(to_json(bundle.card))
        )
        artifact.add_dir(str(bundle.folder))
        run.log_artifact(artifact, aliases=aliases)
        failed = False
    finally:
        finish_wandb(run, failed)
