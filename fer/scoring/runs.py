"""Trained runs: which checkpoint a folder stands for, and the hashes that tell models and recipes apart."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fer.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from fer.errors import FerError
from fer.places import at_home

# Of a config, what may differ between two runs of one recipe: where things lie, what watches the run, and how
# it is spread over a machine. The number of processes stays in: it multiplies the batch.
_NO_RECIPE = {
    "": {"seed", "name", "output_dir", "resume", "logger"},
    "trainer": {
        "accelerator", "strategy", "enable_progress_bar", "enable_model_summary", "enable_checkpointing",
        "log_every_n_steps", "profiler", "detect_anomaly", "barebones",
    },
    "datamodule": {"path", "workers", "memory_gb", "eval_batch_size"},
}  # fmt: skip


@dataclass(frozen=True)
class TrainedRun:
    """A trained model with its run.

    Attributes:
        name: Of the run folder, or of a file that lies outside one.
        path: The checkpoint.
        folder: The run folder, or ``None`` for a file that lies outside one.
        trained: Model, labels, config and manifest.
        model_sha256: Of the weights; see `hash_model`.
        recipe_sha256: Of the config without the seed; see `hash_recipe`.
    """

    name: str
    path: Path
    folder: Path | None
    trained: Checkpoint
    model_sha256: str
    recipe_sha256: str

    @property
    def seed(self) -> int | None:
        """Return the seed of the run, where its config tells one."""
        return self.trained.config.get("seed")

    @property
    def outputs(self) -> Path:
        """Return the folder of all runs: ``outputs`` of ``outputs/train/DATE/RUN``, and of a sweep's runs.

        Elsewhere it is the one that the run lies in.
        """
        if self.folder is None:
            return self.path.parent
        above = (place.parent for place in self.folder.parents if place.name in ("train", "multirun"))
        return next(above, self.folder.parent)

    @property
    def training(self) -> tuple[str, ...]:
        """Return what seeds of one recipe have in common; see `training_of`."""
        return training_of(self.recipe_sha256, self.trained.manifest)

    @property
    def recipe(self) -> dict[str, Any]:
        """Return what the config says of the training; see `recipe_of`."""
        return recipe_of(self.trained.config)


def load_run(source: str | Path, which: str | None = None) -> TrainedRun:
    """Load a run.

    Args:
        source: A run folder, or a ``.ckpt`` file of one.
        which: ``best`` or ``last`` of a folder; ``None``: the best, or the last where nothing was validated.

    Raises:
        FerError: There is no checkpoint, or it is damaged or no checkpoint of this project.
    """
    path = _find(at_home(source).resolve(), which)
    folder = path.parent.parent if path.parent.name == "checkpoints" else None
    trained = load_checkpoint(path)
    name = folder.name if folder else path.stem
    return TrainedRun(name, path, folder, trained, hash_model(trained.model), hash_recipe(trained.config))


def _find(path: Path, which: str | None) -> Path:
    if path.is_file():
        return path
    names = (which,) if which else ("best", "last")
    if (found := find_checkpoint(path, names)) is not None:
        return found
    if (path / "card.json").is_file():
        raise FerError(
            f"{path}: expected a run, got a bundle. Its card has the figures of the exported file; score the "
            "run that it was exported from."
        )
    if not path.is_dir():
        raise FerError(
            f"{path}: there is no such run. Give the folder that fer-train printed, or a .ckpt file."
        )
    raise FerError(
        f"{path}: expected a run folder with checkpoints/{names[0]}.ckpt in it, but there is none. "
        "The run stopped before its first epoch, or this is another folder; give one that fer-train printed."
    )


def hash_model(model: nn.Module) -> str:
    """Return the SHA-256 over the tensors of a model's state, sorted by name.

    Equal weights have equal hashes, whatever the file, the device or the memory layout.
    """
    checksum = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        checksum.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        checksum.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return checksum.hexdigest()


def hash_recipe(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a config's recipe."""
    recipe = recipe_of(config)
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()


def training_of(recipe_sha256: str, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hash of a recipe with those of the images and labels that it was trained on."""
    part = manifest["splits"].get("train", {})
    return (recipe_sha256, *(str(part.get(f"{kind}_sha256")) for kind in ("pixels", "files", "labels")))


def recipe_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config says of the training, the seed left out.

    Left out are also paths of data and outputs, loggers, and what only spreads the work over a machine.
    """
    recipe = {key: value for key, value in config.items() if key not in _NO_RECIPE[""]}
    return recipe | {
        group: _without(recipe.get(group, {}), _NO_RECIPE[group]) for group in ("trainer", "datamodule")
    }


def _without(value: Any, keys: set[str]) -> Any:
    """Return nested values without these keys, at any depth: a set of several sources has a path in each."""
    if isinstance(value, Mapping):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    return [_without(inner, keys) for inner in value] if isinstance(value, list) else value
