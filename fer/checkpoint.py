"""From a checkpoint file back to its model: no Hydra, no Lightning, no network, no code out of the file."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from fer.errors import FerError
from fer.labels import LabelSpace, from_dict
from fer.models import EmotionClassifier, build_model
from fer.models.factory import OWN_BACKBONES

TIMM = "timm"  # among the names of data sets: what timm's weights were trained on
_PREFIX = "model."  # of the classifier's weights among those of the EmotionModule


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what it needs to be understood.

    Attributes:
        model: The classifier, in evaluation mode on the CPU.
        labels: What its outputs mean, in order.
        config: The resolved config of its run.
        manifest: Counts and hashes of the data that it was trained on.
        epoch: Epoch of the weights, counted from 1.
        init_from: Where its run had its first weights from (`fer.training.transfer`), or ``None``.
    """

    model: EmotionClassifier
    labels: LabelSpace
    config: dict[str, Any]
    manifest: dict[str, Any]
    epoch: int
    init_from: dict[str, Any] | None = None


def data_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the data sets that a run of this config is trained on; votes are those of FER+."""
    data = config.get("datamodule") or {"sources": []}
    sources = data.get("sources") or ([data] if "name" in data else [])
    return [
        name
        for source in sources
        for name in (str(source["name"]), *(["ferplus"] if source.get("votes") else []))
    ]


def find_checkpoint(folder: Path, names: Sequence[str] = ("best", "last")) -> Path | None:
    """Return the first of these checkpoints that a run folder holds; ``None`` if it has none of them."""
    paths = [folder / "checkpoints" / f"{name}.ckpt" for name in names]
    return next((path for path in paths if path.is_file()), None)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Load ``best.ckpt`` or ``last.ckpt`` of a run.

    Raises:
        FerError: The file is missing, damaged, or no checkpoint of this project.
    """
    path = Path(path)
    content = _read(path)
    try:
        about = content["hyper_parameters"]
        config, labels = about["config"], from_dict(about["labels"])
        model = _build(about, len(labels))
        weights = {name.removeprefix(_PREFIX): value for name, value in content["state_dict"].items()
                   if name.startswith(_PREFIX)}  # fmt: skip
        model.load_state_dict(weights)
        return Checkpoint(
            model.eval(), labels, config, about["manifest"], content["epoch"] + 1, about.get("init_from")
        )
    except (KeyError, TypeError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]  # torch lists every key that does not fit
        raise FerError(f"{path}: expected a checkpoint of fer-train, but it does not fit: {why}") from error


def _build(about: Mapping[str, Any], num_classes: int) -> EmotionClassifier:
    """Build the model with the stem that it was trained with, which its weights do not tell."""
    config = about["config"]
    settings = {**config["model"], "attention": config["attention"], "pretrained": False}
    settings["stem"] = about.get("stem", settings.get("stem", "auto"))
    if settings["name"] in OWN_BACKBONES:  # which have no choice of it; that was not always refused
        settings["stem"] = "auto"
    model = build_model(settings, num_classes, about["image_channels"])
    chosen = getattr(model.backbone, "stem", None)
    if (
        settings["stem"] == "auto" and chosen == "unpooled"
    ):  # before that was an option, auto took small there
        model = build_model({**settings, "stem": "small"}, num_classes, about["image_channels"])
    return model


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FerError(f"{path}: there is no such checkpoint. A run's lie in RUN/checkpoints/.")
    if not is_zipfile(path):
        raise FerError(f"{path}: expected a checkpoint, but the file is cut off or of another kind.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise FerError(f"{path}: cannot be loaded as plain tensors and values: {reason}") from error
    if not isinstance(content, dict):
        raise FerError(f"{path}: expected a checkpoint of fer-train, got a {type(content).__name__}.")
    return content
