"""Initial weights of a run: from an earlier run, an exported model or timm."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fer.bundle.files import CARD, Bundle
from fer.bundle.registry import find_bundle
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.core.paths import expand_user
from fer.data.sketch import estimate_overlap
from fer.models.backbone import TimmBackbone, pretrained_config
from fer.models.checkpoint import TIMM_WEIGHTS, Checkpoint, find_checkpoint, load_checkpoint
from fer.models.classifier import EmotionClassifier, FlattenDense
from fer.models.config import ModelConfig
from fer.models.pretrained import (
    adapt_state_dict,
    is_foreign_checkpoint,
    load_named_weights,
    load_weights_file,
    mismatched_keys,
)
from fer.training.bundle_weights import load_bundle

_KEY = "model.init_from"
# Minimum estimated overlap of two splits, as a proportion of the smaller one. FER2013's training split has
# copies of 8 % of its validation images; stored in another size, 75 to 95 % of the images keep their hash.
_MIN_OVERLAP = 0.4
# With fewer hashes, single copies are a large proportion.
_MIN_HASHES = 8
# Split used for the initial weights, how it was used, splits of this run that must not share its images.
_LEAKS = (("train", "trained", ("val", "test")), ("val", "selected", ("test",)))


@dataclass(frozen=True)
class InitialWeights:
    """Provenance of the initial weights of a run.

    Attributes:
        record: For ``run.json`` and the checkpoint: ``path``, ``epoch``, ``manifest``, ``data`` (names of the
            data sets) and ``init_from`` (the record of the earlier run's initial weights, if any). Unknown
            values are ``None``.
        messages: Lines to print: what was loaded, what is newly initialised, and warnings about data leaks.
        sketches: Of the runs that the weights come from, as in `fer.models.checkpoint.Checkpoint.sketches`.
    """

    record: dict[str, Any]
    messages: list[str] = field(default_factory=list)
    sketches: list[dict[str, Any]] = field(default_factory=list)


def load_initial_weights(
    model: EmotionClassifier,
    settings: ModelConfig,
    labels: LabelSpace,
    manifest: Mapping[str, Any],
    sketches: Mapping[str, Sequence[str]] | None = None,
    examples: Callable[[int, int], np.ndarray] | None = None,
) -> InitialWeights | None:
    """Load the weights named by ``model.init_from`` into a new model, in place.

    Backbone, normalisation, attention and pool are loaded, and the head if both label spaces are the same. An
    attention or pool of another kind or size is newly initialised, and with a new pool the head as well.

    Args:
        model: As returned by ``build_model``.
        settings: The ``model`` group of the config. ``init_from`` is a run folder (its ``best.ckpt``, or
            ``last.ckpt`` if nothing was validated), a ``.ckpt`` file of this project, a weights file (of
            timm, or a checkpoint of another project whose state dict fits), an exported model (the folder or
            the name of a bundle), or ``None``.
        labels: Label space of the model.
        manifest: Manifest of this run's data.
        sketches: Sketches of its splits, by role; None: leaks are found by the manifest alone.
        examples: As `EmotionDataModule.augmented_examples`; an exported model needs it.

    Returns:
        ``None`` without ``init_from``.

    Raises:
        FerError: The file is missing, damaged or of another architecture, or a backbone with random weights
            would be frozen.
    """
    if settings.init_from is None:
        if settings.freeze_epochs and not settings.pretrained:
            raise FerError(
                f"model.freeze_epochs={settings.freeze_epochs}: expected a backbone with trained weights, "
                f"got random weights. Set {_KEY}=… or model.pretrained=true, or model.freeze_epochs=0."
            )
        return None
    path = _find_weights(str(settings.init_from))
    if isinstance(path, Bundle):
        assert examples is not None
        record, messages = load_bundle(model, path, labels, examples, _KEY)
        messages += [f"WARNING: {_KEY}: {leak}" for leak in find_leaks(record, manifest)]
        return InitialWeights(record, messages)
    if path.suffix != ".ckpt" or is_foreign_checkpoint(path):
        return _load_timm_weights(model, settings.name, path)
    trained = load_checkpoint(path)
    record = {"path": str(path), "epoch": trained.epoch, "manifest": trained.manifest}
    record |= {"data": trained.dataset_names, "init_from": trained.init_from}
    shape = f"{trained.network.name}, {trained.network.image_size} px, {trained.labels.name}"
    messages = [
        f"{_KEY}: {path} (epoch {trained.epoch}, {shape})",
        *_load_parts(model, trained, settings, labels, path),
    ]
    leaks = find_leaks(record, manifest)
    origins = [{"path": str(path), "splits": trained.sketches.get("splits", {})}]
    origins += trained.sketches.get("init_from", [])
    if not leaks:
        leaks = find_similar_splits(origins, manifest, sketches or {})
    messages += [f"WARNING: {_KEY}: {leak}" for leak in leaks]
    return InitialWeights(record, messages, origins)


def loaded_origin(hparams: Mapping[str, Any], epoch: int | None) -> dict[str, Any]:
    """Return ``init_from`` and ``sketches`` of a training that goes on from a loaded checkpoint.

    Args:
        hparams: The hyperparameters that the checkpoint stores.
        epoch: Its epochs.
    """
    path, sketches = "a checkpoint loaded in Python", hparams.get("sketches") or {}
    data = hparams["config"].get("datamodule")
    record = {
        "path": path,
        "epoch": epoch,
        "manifest": hparams["manifest"],
        "data": [data["name"]] if data else [],
        "init_from": hparams.get("init_from"),
    }
    origins = [{"path": path, "splits": sketches.get("splits", {})}, *sketches.get("init_from", [])]
    return {"init_from": record, "sketches": {"splits": {}, "init_from": origins}}


def find_leaks(record: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> list[str]:
    """Return a message for each evaluation split of this run that was used to get its initial weights.

    Whole splits are compared by their hashes, so single images shared by two different data sets are not
    found.

    Args:
        record: ``InitialWeights.record``; earlier runs in its ``init_from`` are checked as well.
        manifest: Manifest of this run's data.
    """
    if not record:
        return []
    used, current = (record["manifest"] or {"splits": {}})["splits"], manifest["splits"]
    messages = [
        f"{record['path']} was {verb} on the images of this run's {role} split ({current[role]['split']}, "
        f"{current[role]['count']:,} images). Metrics on that split are not valid."
        for used_role, verb, roles in _LEAKS
        for role in roles
        if used_role in used and role in current and _same_images(used[used_role], current[role])
    ]
    if _is_other_carve_out(record["manifest"] or {}, manifest):
        messages.append(
            f"{record['path']} was trained on most images of this run's val split: both splits were carved "
            "out of the same images, with different split_seed or val_fraction. Metrics on that split are "
            "not valid."
        )
    return messages + find_leaks(record["init_from"], manifest)


def find_similar_splits(
    origins: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    sketches: Mapping[str, Sequence[str]],
) -> list[str]:
    """Return the messages of `find_leaks` for splits whose images are those of another file format or size.

    Args:
        origins: ``InitialWeights.sketches``.
        manifest: Manifest of this run's data.
        sketches: Sketches of its splits, by role.
    """
    messages = []
    for origin in origins:
        for used_role, verb, roles in _LEAKS:
            for role in roles:
                overlap = estimate_overlap(
                    origin["splits"].get(used_role, ()), sketches.get(role, ()), _MIN_HASHES
                )
                if overlap >= _MIN_OVERLAP:
                    split = manifest["splits"][role]
                    messages.append(
                        f"{origin['path']} was {verb} on about {overlap:.0%} of the images of this run's "
                        f"{role} split ({split['split']}, {split['count']:,} images), in another size or "
                        "format. Metrics on that split are not valid."
                    )
    return messages


def _is_other_carve_out(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two different validation splits were carved out of the same images."""
    source = one.get("carved_sha256")
    if source is None or source != other.get("carved_sha256"):
        return False
    return not _same_images(one["splits"]["val"], other["splits"]["val"])


def _same_images(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two splits hold the same images; data in memory has hashes of pixels, else of files."""
    keys = ("pixels_sha256", "files_sha256")
    return any(one.get(key) is not None and one.get(key) == other.get(key) for key in keys)


def _find_weights(source: str) -> Path | Bundle:
    path = expand_user(source).resolve()
    if path.is_file():
        return path
    if (checkpoint := find_checkpoint(path)) is not None:
        return checkpoint
    if (path / CARD).is_file():
        return find_bundle(path)
    if source.startswith("hf:"):
        return find_bundle(source)
    missing = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
    expected = (
        f"{_KEY}={source}: expected a run folder, a checkpoint, a timm weights file or an exported model, "
        f"but {missing} does not exist"
    )
    if "/" in source:
        raise FerError(f"{expected}. Use the folder that fer-train or fer-export printed.")
    try:
        return find_bundle(source)
    except FerError as error:
        raise FerError(f"{expected}. {error}") from None


def _load_timm_weights(model: EmotionClassifier, name: str, path: Path) -> InitialWeights:
    if not isinstance(model.backbone, TimmBackbone):
        return _load_state_dict(model, name, path)
    is_timms = load_weights_file(model.backbone.model, str(path), model.preprocess.in_channels, _KEY)
    config = pretrained_config(model.backbone.model)
    model.preprocess.set_statistics(config["mean"], config["std"])
    record: dict[str, Any] = {"path": str(path), "epoch": None, "manifest": None}
    record |= {"data": [TIMM_WEIGHTS] if is_timms else [], "init_from": None}
    kind = "timm weights" if is_timms else "weights of unknown training data"
    return InitialWeights(record, [f"{_KEY}: {path}, {kind}; the head is newly initialised"])


def _load_state_dict(model: EmotionClassifier, name: str, path: Path) -> InitialWeights:
    """Load a state dict of a model of this project, without the head, because its emotions are unknown."""
    try:
        missing = load_named_weights(model, str(path), ("backbone", "preprocess", "attention", "pool"), _KEY)
    except FerError as error:
        raise FerError(
            f"{error}: expected a timm model for a timm weights file, got {name}. Use a run folder or a "
            f".ckpt file of {name}, or choose a timm model."
        ) from None
    lines = [f"{_KEY}: {path}, weights of unknown training data; the head is newly initialised"]
    lines += [f"  {part}: newly initialised" for part in missing]
    record: dict[str, Any] = {"path": str(path), "epoch": None, "manifest": None, "data": []}
    record["init_from"] = None
    return InitialWeights(record, lines)


def _load_parts(
    model: EmotionClassifier, trained: Checkpoint, settings: ModelConfig, labels: LabelSpace, path: Path
) -> Iterator[str]:
    """Load the parts of a model; yield a line for each part that is newly initialised or differs."""
    _load_backbone(model, trained, settings, path)
    yield from _compare_cells(
        _cell_size(model.backbone, settings), _cell_size(trained.model.backbone, trained.network)
    )
    normalisation = trained.model.preprocess
    model.preprocess.set_statistics(
        normalisation.mean.flatten().tolist(), normalisation.std.flatten().tolist()
    )
    yield from _load_part("attention", model.attention, trained.model.attention)
    pool_messages = list(_load_part("pool", model.pool, trained.model.pool))
    yield from pool_messages
    if pool_messages:
        yield "  head: newly initialised, because the pool is new"
    else:
        yield from _load_head(model.head, trained, labels)


def _load_backbone(model: EmotionClassifier, trained: Checkpoint, settings: ModelConfig, path: Path) -> None:
    current = model.backbone.state_dict()
    weights = adapt_state_dict(trained.model.backbone.state_dict(), model.backbone)
    if mismatched := mismatched_keys(weights, current):
        shown = ", ".join(mismatched[:3]) + (", …" if len(mismatched) > 3 else "")
        got, expected = (f"{m.name} {m.kwargs}" for m in (trained.network, settings))
        raise FerError(
            f"{_KEY}={path}: expected weights of {expected}, got those of {got}: {len(mismatched)} of "
            f"{len({*current, *weights})} backbone keys differ ({shown}). "
            "Use the same model and model.kwargs for both."
        )
    model.backbone.load_state_dict(weights)


def _cell_size(backbone: nn.Module, settings: ModelConfig) -> float:
    """Return the stride of the feature map: the side of the image area of one cell, in pixels."""
    if isinstance(backbone, TimmBackbone):
        return float(settings.image_size / backbone.grid[0])
    return float(getattr(backbone, "stride", 1))


def _compare_cells(current: float, trained: float) -> Iterator[str]:
    """Yield a line if the stride of the feature map differs from that in training.

    A stem with and without a stride has the same keys and shapes, but computes other features.
    """
    # Smaller differences come from image sizes that are not a multiple of the stride.
    if max(current, trained) >= 1.5 * min(current, trained):
        yield (
            f"  backbone: a feature-map cell covers {current:.0f} px, but {trained:.0f} px in training; "
            "see model.stem and model.image_size"
        )


def _load_head(head: nn.Module, trained: Checkpoint, labels: LabelSpace) -> Iterator[str]:
    """Load the head if its emotions and their order are the same; else yield a line."""
    if labels.names == trained.labels.names:
        head.load_state_dict(trained.model.head.state_dict())
    else:
        current, other = (f"{space.name} ({len(space)} emotions)" for space in (labels, trained.labels))
        yield f"  head: newly initialised for {current}; the checkpoint is for {other}"


def _load_part(part: str, module: nn.Module, trained: nn.Module) -> Iterator[str]:
    """Load a part of the same kind and size; else yield a line."""
    current, weights = module.state_dict(), trained.state_dict()
    if type(module) is type(trained) and not mismatched_keys(weights, current):
        module.load_state_dict(weights)
    elif type(module) is not type(trained):
        now, before = ("none" if isinstance(kind, nn.Identity) else type(kind).__name__
                       for kind in (module, trained))  # fmt: skip
        yield f"  {part}: {now} instead of {before}{', newly initialised' if current else ''}"
    else:
        key = mismatched_keys(weights, current)[0]
        now, before = ("x".join(map(str, state[key].shape)) for state in (current, weights))
        reason = "; model.image_size differs" if isinstance(module, FlattenDense) else ""
        yield f"  {part}: newly initialised, {key} is {now} here and {before} in the checkpoint{reason}"
