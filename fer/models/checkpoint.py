"""Load a model from a checkpoint file, without Hydra, Lightning, a network connection or unpickled code."""

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from pydantic import ConfigDict, Field
from torch import nn

from fer.core.config import Config
from fer.core.errors import FerError
from fer.core.hub import download, is_on_hub, parse_reference
from fer.core.labels import LabelSpace, from_dict
from fer.core.plugins import check_loaded, import_plugins
from fer.core.registry import ATTENTIONS, MODELS
from fer.models.classifier import EmotionClassifier
from fer.models.config import AttentionConfig, ModelConfig
from fer.models.factory import build_model, is_timm_model
from fer.models.weights_file import CONFIG, WEIGHTS, read_weights

# Dataset name of the training data of timm's pretrained weights.
TIMM_WEIGHTS = "timm"
# Prefix of the classifier's weights in the state dict of the EmotionModule.
_PREFIX = "model."
_KNOWN_ONLY: ConfigDict = {**Config.model_config, "extra": "ignore"}


class _StoredData(Config):
    """What is needed of the config of a dataset."""

    model_config = _KNOWN_ONLY
    name: str | None = None
    votes: bool | str | None = None
    sources: "list[_StoredData]" = Field(default_factory=list)

    def names(self) -> Iterator[str]:
        for source in self.sources or [self]:
            yield from [source.name] if source.name else []
            yield from ["ferplus"] if source.votes else []


class _StoredConfig(Config):
    """What is needed of the config of a training run, which a higher package defines."""

    model_config = _KNOWN_ONLY
    model: ModelConfig
    attention: AttentionConfig
    datamodule: _StoredData | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and the information needed to use it.

    Attributes:
        model: The classifier, in evaluation mode on the CPU.
        labels: Emotions of its outputs, in order.
        config: The resolved config of the training run.
        manifest: Counts and hashes of the training data.
        epoch: Epoch of the weights, from 1.
        init_from: Source of the run's initial weights (`fer.training.transfer`), or ``None``.
        run_id: Id of the run (``run.json``); ``None`` for a model trained otherwise.
        sketches: Sketches of its images (`fer.data.sketch`): ``splits`` by role, and ``init_from``, a list of
            the ``path`` and ``splits`` of the runs that its initial weights come from. Empty in older files.
        teachers: Records of the teachers that it learned from (`fer.training.teachers`).
    """

    model: EmotionClassifier
    labels: LabelSpace
    config: dict[str, Any]
    manifest: dict[str, Any]
    epoch: int
    init_from: dict[str, Any] | None = None
    run_id: str | None = None
    sketches: dict[str, Any] = field(default_factory=dict)
    teachers: list[dict[str, Any]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        """Yield the model and its labels, for ``model, labels = fer.load_checkpoint(path)``."""
        yield from (self.model, self.labels)

    @property
    def network(self) -> ModelConfig:
        """Config of the network."""
        return _StoredConfig.from_dict(self.config).model

    @property
    def dataset_names(self) -> list[str]:
        """Names of the datasets that the model was trained on; votes add ``ferplus``."""
        data = _StoredConfig.from_dict(self.config).datamodule
        return list(data.names()) if data else []


def find_checkpoint(folder: Path, names: Sequence[str] = ("best", "last")) -> Path | None:
    """Return the first of the named checkpoints that exists in a run folder, or ``None``."""
    paths = [folder / "checkpoints" / f"{name}.ckpt" for name in names]
    return next((path for path in paths if path.is_file()), None)


def load_checkpoint(path: str | os.PathLike[str], plugins: Sequence[str] = ()) -> Checkpoint:
    """Load ``best.ckpt`` or ``last.ckpt`` of a run.

    >>> model, labels = fer.load_checkpoint("outputs/train/DATE/RUN/checkpoints/best.ckpt")

    Args:
        path: The file, or the run folder: ``best.ckpt`` if there is one, otherwise ``last.ckpt``. Or
            ``hf:owner/name[@revision]``, or a folder, with the `model.safetensors` of fer-models push.
        plugins: Modules to import first, for a model or attention that they register. A module that only the
            file names is never imported.

    Raises:
        FerError: The file is missing, damaged, not a checkpoint of fer-train, or of a plugin that is not
            loaded.
    """
    import_plugins(plugins)
    if is_on_hub(path):
        path = download(parse_reference(str(path)), (CONFIG, WEIGHTS))
    path = find_checkpoint(Path(path)) or Path(path)
    content = read_weights(path) if (path / CONFIG).is_file() else read_content(path)
    try:
        hparams = content["hyper_parameters"]
        _check_plugins(hparams["config"], path)
        config, labels = hparams["config"], from_dict(hparams["labels"])
        model = _build(hparams, len(labels))
        weights = {name.removeprefix(_PREFIX): value for name, value in content["state_dict"].items()
                   if name.startswith(_PREFIX)}  # fmt: skip
        model.load_state_dict(weights)
        return Checkpoint(
            model.eval(), labels, config, hparams["manifest"], content["epoch"] + 1,
            hparams.get("init_from"), hparams.get("run_id"), hparams.get("sketches") or {},
            hparams.get("teachers") or [],
        )  # fmt: skip
    except (KeyError, TypeError, RuntimeError) as error:
        # Shortened, because torch lists every key that does not match.
        reason = " ".join(str(error).split())[:200]
        raise FerError(
            f"{path}: expected a checkpoint of fer-train, but its content does not match: {reason}"
        ) from error


def _check_plugins(config: Mapping[str, Any], path: Path) -> None:
    """Raise FerError if the network is of a plugin that is not loaded."""
    for registry in (MODELS, ATTENTIONS) if config.get("plugins") else ():
        name = str(config[registry.group]["name"])
        if registry.find(name) is None and not (registry is MODELS and is_timm_model(name)):
            check_loaded(config["plugins"], f"{path}: {registry.group}={name}")


def _build(hparams: Mapping[str, Any], num_classes: int) -> EmotionClassifier:
    """Build the model with the stem that it was trained with, which the weights alone do not reveal."""
    config, channels = _StoredConfig.from_dict(hparams["config"]), hparams["image_channels"]
    settings = config.model.replace(pretrained=False, stem=hparams.get("stem") or config.model.stem)
    # Registered backbones have a fixed stem, but older versions accepted the option.
    if MODELS.find(settings.name) is not None:
        settings = settings.replace(stem="auto")
    model = build_model(settings, num_classes, channels, config.attention)
    chosen = getattr(model.backbone, "stem", None)
    # Before the option "unpooled" existed, "auto" resolved to "small" in its place.
    if settings.stem == "auto" and chosen == "unpooled":
        model = build_model(settings.replace(stem="small"), num_classes, channels, config.attention)
    return model


def hash_model(model: nn.Module) -> str:
    """Return the SHA-256 over the tensors of a model's state, sorted by name.

    Equal weights have equal hashes, independent of the file, the device and the memory layout.
    """
    checksum = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        checksum.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        checksum.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return checksum.hexdigest()


def read_content(path: Path) -> dict[str, Any]:
    """Return what a checkpoint file holds: tensors and plain values.

    Raises:
        FerError: The file is missing or damaged.
    """
    if not path.is_file():
        raise FerError(
            f"{path}: expected a checkpoint, but there is no such file. A run's are in RUN/checkpoints/."
        )
    if not is_zipfile(path):
        raise FerError(f"{path}: expected a checkpoint, got a truncated file or one of another kind.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise FerError(f"{path}: cannot be loaded as plain tensors and values: {reason}") from error
    if not isinstance(content, dict):
        raise FerError(f"{path}: expected a checkpoint of fer-train, got a {type(content).__name__}.")
    return content
