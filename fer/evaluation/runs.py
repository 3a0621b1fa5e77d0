"""Trained runs: find and load their checkpoint, and identify models and recipes by hashes."""

import hashlib
import json
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from fer.bundle.card import CropRule
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.models.checkpoint import Checkpoint, find_checkpoint, hash_model, load_checkpoint
from fer.models.classifier import EmotionClassifier
from fer.training.config import RunConfig
from fer.training.metrics import current_name
from fer.training.plugin_use import without_unknown_training_parts

# Config keys that may differ between two runs of one recipe: paths, logging, and how the work is distributed
# on the machine. The number of devices is part of the recipe, because it multiplies the batch size.
_NOT_IN_RECIPE = {
    "": {"seed", "name", "output_dir", "resume", "plugins", "logger", "threads", "tags", "test", "compile"},
    "trainer": {
        "accelerator", "strategy", "enable_progress_bar", "enable_model_summary", "enable_checkpointing",
        "log_every_n_steps", "profiler", "detect_anomaly", "barebones",
    },
    "callbacks": {"lr_monitor", "device_stats"},
    # Groups change the training images, whose hash is compared as well.
    "datamodule": {"path", "workers", "memory_gb", "eval_batch_size", "group"},
}  # fmt: skip


class HasFolder(Protocol):
    """An object with a run folder, such as the result of `fer.train`."""

    @property
    def folder(self) -> Path:
        """Return the run folder."""


RunSource = str | os.PathLike[str] | HasFolder


@dataclass(frozen=True)
class TrainedRun:
    """A trained run with its model.

    Attributes:
        name: Name of the run folder, or of a checkpoint outside a run folder.
        path: The checkpoint file.
        folder: The run folder; ``None`` for a checkpoint outside one.
        checkpoint: Its content: model, labels, config and manifest.
        model_sha256: Hash of the weights; see `hash_model`.
        recipe_sha256: Hash of the config without the seed; see `hash_recipe`.
    """

    name: str
    path: Path
    folder: Path | None
    checkpoint: Checkpoint
    model_sha256: str
    recipe_sha256: str

    @cached_property
    def config(self) -> RunConfig:
        """The config of the run, with defaults for training parts whose plugin is not loaded."""
        return RunConfig.from_dict(without_unknown_training_parts(self.checkpoint.config))

    @property
    def shown_config(self) -> dict[str, Any]:
        """The config as plain values, also of parts whose plugin is not loaded."""
        return {**self.config.to_dict(), **self.checkpoint.config}

    @property
    def monitor(self) -> str:
        """The metric that selected the checkpoint, also one of a plugin that is not loaded."""
        return current_name(str(self.checkpoint.config.get("monitor", "val/accuracy")))

    @property
    def seed(self) -> int | None:
        """Seed of the run, if its config has one."""
        return self.config.seed if "seed" in self.config.model_fields_set else None

    @property
    def outputs(self) -> Path:
        """Folder of all runs: ``outputs`` for ``outputs/train/DATE/RUN`` and for the runs of a sweep.

        For any other location, the parent folder of the run.
        """
        if self.folder is None:
            return self.path.parent
        outputs = (folder.parent for folder in self.folder.parents if folder.name in ("train", "multirun"))
        return next(outputs, self.folder.parent)

    @property
    def architecture(self) -> str:
        """Name of the network."""
        return self.config.model.name

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self.checkpoint.model.parameters())

    @property
    def megabytes(self) -> float:
        """Size of its checkpoint or ONNX file, in 10^6 bytes."""
        return self.path.stat().st_size / 1e6

    @property
    def report_root(self) -> Path:
        """Folder of its reports."""
        return (self.folder or self.path.parent) / "report"

    @property
    def variant(self) -> str | None:
        """What its reports are told apart by, beside the data: the checkpoint, if it is not the best one."""
        return None if self.path.stem == "best" else self.path.stem

    @property
    def is_calibrated(self) -> bool:
        """Whether the outputs are calibrated already."""
        return False

    @property
    def network(self) -> EmotionClassifier | None:
        """The network, for maps of its layers."""
        return self.checkpoint.model

    @property
    def needs_color(self) -> bool:
        """Whether other data sets have to be read in color; their default is that of the data set."""
        return False

    @property
    def own_crop(self) -> CropRule | None:
        """The crop rule that belongs to the model; None: that of its training data."""
        return None

    @property
    def spec(self) -> dict[str, str] | None:
        """How a foreign file is run, as rows of a table; None for a model of this package."""
        return None

    @property
    def facts(self) -> dict[str, str]:
        """What is known of an exported file, as a row of a table; empty for a checkpoint."""
        return {}

    @property
    def file_sha256(self) -> str | None:
        """Hash of an exported file; None for a checkpoint."""
        return None

    @property
    def training_key(self) -> tuple[str, ...]:
        """Key that is equal for all seeds of one recipe; see `make_training_key`."""
        return make_training_key(self.recipe_sha256, self.checkpoint.manifest)

    @property
    def recipe(self) -> dict[str, Any]:
        """The part of the config that defines the training; see `recipe_from_config`."""
        return recipe_from_config(self.checkpoint.config)


def as_list(runs: RunSource | Sequence[RunSource]) -> list[RunSource]:
    """Return the runs of an argument that is one run or several."""
    return list(runs) if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]


def load_run(source: RunSource, which: str | None = None) -> TrainedRun:
    """Load a run.

    Args:
        source: A run folder, a ``.ckpt`` file of one, or an object with an attribute ``folder``.
        which: ``best`` or ``last``, for a run folder; ``None``: best if there is one, otherwise last.

    Raises:
        FerError: There is no checkpoint, or it is damaged or not from this project.
    """
    location = os.fspath(source) if isinstance(source, str | os.PathLike) else source.folder
    path = _find_checkpoint(expand_user(location).resolve(), which)
    folder = path.parent.parent if path.parent.name == "checkpoints" else None
    checkpoint = load_checkpoint(path)
    name = folder.name if folder else path.stem
    hashes = hash_model(checkpoint.model), hash_recipe(checkpoint.config)
    return TrainedRun(name, path, folder, checkpoint, *hashes)


def _find_checkpoint(path: Path, which: str | None) -> Path:
    if path.is_file():
        if which not in (None, path.stem):
            raise FerError(
                f"--checkpoint {which}: expected a run folder with it, got the file {path}. Omit it, or name "
                "the run folder."
            )
        return path
    names = (which,) if which else ("best", "last")
    if (checkpoint := find_checkpoint(path, names)) is not None:
        return checkpoint
    if (path / "card.json").is_file():
        raise FerError(
            f"{path}: expected a run, got a bundle. Give the run that it was exported from, or score the "
            "bundle with fer-evaluate BUNDLE --data KIND:PATH."
        )
    if not path.is_dir():
        raise FerError(
            f"{path}: expected a run, but the path does not exist. Give the folder that fer-train printed, "
            "or a .ckpt file."
        )
    raise FerError(
        f"{path}: expected a run folder with checkpoints/{names[0]}.ckpt, but it has none. Either the run "
        "stopped before the end of its first epoch, or this is another folder. Give a folder that fer-train "
        "printed."
    )


def hash_recipe(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the recipe in a config."""
    recipe = recipe_from_config(config)
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()


def make_training_key(recipe_sha256: str, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a key that is equal for all seeds of a recipe: hashes of recipe, training images and labels."""
    part = manifest["splits"].get("train", {})
    return (recipe_sha256, *(str(part.get(f"{kind}_sha256")) for kind in ("pixels", "files", "labels")))


def recipe_from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a config that defines the training: without the seed and `_NOT_IN_RECIPE`."""
    recipe = {key: value for key, value in config.items() if key not in _NOT_IN_RECIPE[""]}
    callbacks = _without(recipe.pop("callbacks", {}), _NOT_IN_RECIPE["callbacks"])
    if used := {name: options for name, options in callbacks.items() if options is not None}:
        # Without any, the recipe is that of a run from before there were callbacks.
        recipe["callbacks"] = used
    return recipe | {
        group: _without(recipe.get(group, {}), _NOT_IN_RECIPE[group]) for group in ("trainer", "datamodule")
    }


def _without(value: Any, keys: set[str]) -> Any:
    """Return nested values without these keys at any depth: each source of a data set has a path."""
    if isinstance(value, Mapping):
        # FER2013 had no labels at first: a recipe without other labels is the same as before.
        unset = {"labels"} if value.get("name") == "fer2013" and value.get("labels") is None else set()
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys | unset}
    return [_without(inner, keys) for inner in value] if isinstance(value, list) else value


def check_distinct_seeds(trainings: Iterable[tuple[Hashable, int | None, str]]) -> None:
    """Raise `FerError` for two checkpoints of one training run, which would count as two seeds.

    Args:
        trainings: For each checkpoint the key of its training (`TrainedRun.training_key`), its seed (None if
            there are several or it is unknown), and its path.
    """
    known: dict[Hashable, str] = {}
    for key, seed, path in trainings:
        if seed is not None and (key, seed) in known:
            raise FerError(
                f"{known[key, seed]} and {path}: expected different seeds of a recipe, got two checkpoints "
                f"of one training run (seed {seed}). Name only one of them."
            )
        known[key, seed] = path
