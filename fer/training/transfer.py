"""Start from trained weights of a run or of timm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from fer.checkpoint import TIMM, Checkpoint, data_names, find_checkpoint, load_checkpoint
from fer.errors import FerError
from fer.labels import LabelSpace
from fer.models import EmotionClassifier
from fer.models.adapt import adapt, differing
from fer.models.backbone import TimmBackbone, pretrained_config
from fer.models.pooling import FlattenDense
from fer.models.weights import load_file
from fer.places import at_home

_KEY = "model.init_from"
# A part of the data that had a share in the weights -> parts of a run that must then be new to them.
_MUST_DIFFER = (("train", "trained", ("val", "test")), ("val", "chosen", ("test",)))


@dataclass(frozen=True)
class Origin:
    """Where the first weights of a run came from.

    Attributes:
        record: For ``run.json`` and the checkpoint: ``path``, ``epoch``, ``manifest`` and names of their
            ``data``, and ``init_from``, the same of the run before, if there was one; what is unknown is
            ``None``.
        lines: What a user should read: what was taken over, what starts anew, which images are not new.
    """

    record: dict[str, Any]
    lines: list[str] = field(default_factory=list)


def start_from(
    model: EmotionClassifier, settings: Mapping[str, Any], labels: LabelSpace, manifest: Mapping[str, Any]
) -> Origin | None:
    """Load what ``model.init_from`` names into a fresh model, in place.

    Backbone, normalisation, attention and pool are taken over, and the head where both label spaces are the
    same. An attention or pool of another kind or size starts anew, and the head with the pool before it.

    Args:
        model: As ``build_model`` gives it.
        settings: The ``model`` group of the config. ``init_from`` is a run folder (its ``best.ckpt``, or
            ``last.ckpt`` where nothing was validated), a ``.ckpt`` of ours, timm's weights, or ``None``.
        labels: What the model's outputs mean.
        manifest: The data of this run.

    Returns:
        ``None`` without ``init_from``.

    Raises:
        FerError: The file is missing, damaged or of another architecture, or a backbone of random weights
            would be frozen.
    """
    if settings["init_from"] is None:
        _check_freezing(settings)
        return None
    path = _find(str(settings["init_from"]))
    if path.suffix != ".ckpt":
        return _start_from_timm(model, settings["name"], path)
    trained = load_checkpoint(path)
    record = {"path": str(path), "epoch": trained.epoch, "manifest": trained.manifest}
    record |= {"data": data_names(trained.config), "init_from": trained.init_from}
    lines = [_describe(path, trained), *_take_over(model, trained, settings, labels, path)]
    return Origin(record, lines + [f"WARNING: {_KEY}: {line}" for line in leaks(record, manifest)])


def leaks(record: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> list[str]:
    """Say which parts of this run's data had a share in the weights that it starts from.

    A manifest names a part as a whole, so copies of single images between two different sets go unseen.

    Args:
        record: ``Origin.record``; runs before it count too.
        manifest: The data of this run.
    """
    if not record:
        return []
    theirs, ours = (record["manifest"] or {"splits": {}})["splits"], manifest["splits"]
    found = [
        f"{record['path']} was {verb} on the images of this run's {role} split ({ours[role]['split']}, "
        f"{ours[role]['count']:,} images); its figures there prove nothing."
        for used, verb, roles in _MUST_DIFFER
        for role in roles
        if used in theirs and role in ours and _same_images(theirs[used], ours[role])
    ]
    if _is_carved_otherwise(record["manifest"] or {}, manifest):
        found.append(
            f"{record['path']} was trained on most images of this run's val split: both put aside a part of "
            "the same images, by another split_seed or val_fraction. Its figures there prove nothing."
        )
    return found + leaks(record["init_from"], manifest)


def _is_carved_otherwise(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two validation parts were carved out of the same images, and are not the same."""
    whole = one.get("carved_sha256")
    if whole is None or whole != other.get("carved_sha256"):
        return False
    return not _same_images(one["splits"]["val"], other["splits"]["val"])


def _same_images(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two parts hold the same images: sets in memory are known by pixels, others by files."""
    keys = ("pixels_sha256", "files_sha256")
    return any(one.get(key) is not None and one.get(key) == other.get(key) for key in keys)


def _check_freezing(settings: Mapping[str, Any]) -> None:
    epochs = settings["freeze_epochs"]
    if epochs and not settings["pretrained"]:
        raise FerError(
            f"model.freeze_epochs={epochs} would freeze a backbone of random weights. Give trained ones with "
            f"{_KEY}=… or model.pretrained=true, or set model.freeze_epochs=0."
        )


def _find(source: str) -> Path:
    path = at_home(source).resolve()
    if path.is_file():
        return path
    if (found := find_checkpoint(path)) is not None:
        return found
    what = (
        f"there is no {path / 'checkpoints' / 'best.ckpt'}"
        if path.is_dir()
        else "there is nothing of that name"
    )
    raise FerError(
        f"{_KEY}={source}: expected a run folder, a checkpoint or a weights file of timm, but {what}. "
        "Give the folder that fer-train printed."
    )


def _start_from_timm(model: EmotionClassifier, name: str, path: Path) -> Origin:
    if not isinstance(model.backbone, TimmBackbone):
        raise FerError(
            f"{_KEY}={path}: {name} is no model of timm. Give a run folder or a .ckpt file of its own, or "
            "choose a timm model."
        )
    load_file(model.backbone.model, str(path), model.preprocess.in_channels, _KEY)
    about = pretrained_config(model.backbone.model)
    model.preprocess.set_statistics(about["mean"], about["std"])
    record = {"path": str(path), "epoch": None, "manifest": None, "data": [TIMM], "init_from": None}
    return Origin(record, [f"{_KEY}: {path}, weights of timm; the head starts anew"])


def _describe(path: Path, trained: Checkpoint) -> str:
    model = trained.config["model"]
    shape = f"{model['name']}, {model['image_size']} px, {trained.labels.name}"
    return f"{_KEY}: {path} (epoch {trained.epoch}, {shape})"


def _take_over(
    model: EmotionClassifier, trained: Checkpoint, settings: Mapping[str, Any], labels: LabelSpace, path: Path
) -> Iterator[str]:
    """Load part by part; yield a line for each part that starts anew."""
    _take_backbone(model, trained, settings, path)
    yield from _compare_cells(
        _cell(model.backbone, settings), _cell(trained.model.backbone, trained.config["model"])
    )
    past = trained.model.preprocess
    model.preprocess.set_statistics(past.mean.flatten().tolist(), past.std.flatten().tolist())
    yield from _take_part("attention", model.attention, trained.model.attention)
    pool_change = list(_take_part("pool", model.pool, trained.model.pool))
    yield from pool_change
    if pool_change:
        yield "  head: starts anew, as the pool before it does"
    else:
        yield from _take_head(model.head, trained, labels)


def _take_backbone(
    model: EmotionClassifier, trained: Checkpoint, settings: Mapping[str, Any], path: Path
) -> None:
    own = model.backbone.state_dict()
    weights = adapt(trained.model.backbone.state_dict(), model.backbone)
    if wrong := differing(weights, own):
        shown = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        before, now = (f"{model['name']} {model['kwargs']}" for model in (trained.config["model"], settings))
        raise FerError(
            f"{_KEY}={path} holds {before}, but this run builds {now}: {len(wrong)} of "
            f"{len({*own, *weights})} keys of the backbone differ ({shown}). "
            "Use the same model and model.kwargs for both."
        )
    model.backbone.load_state_dict(weights)


def _cell(backbone: nn.Module, settings: Mapping[str, Any]) -> float:
    """Return how many pixels a cell of the feature map covers."""
    if isinstance(backbone, TimmBackbone):
        return float(settings["image_size"] / backbone.grid[0])
    return float(getattr(backbone, "stride", 1))


def _compare_cells(now: float, before: float) -> Iterator[str]:
    """Yield a line where a cell of the feature map covers another number of pixels than in training.

    Keys and shapes are the same for a stem with and without a stride; what the features see is not.
    """
    if max(now, before) >= 1.5 * min(now, before):  # less comes from sides that are no multiple of the stride
        yield (
            f"  backbone: a cell of its map covers {now:.0f} px, where it was trained {before:.0f} px; "
            "model.stem and model.image_size decide that"
        )


def _take_head(head: nn.Module, trained: Checkpoint, labels: LabelSpace) -> Iterator[str]:
    """Load the head of the same emotions in the same order; yield a line if they are others."""
    if labels.names == trained.labels.names:
        head.load_state_dict(trained.model.head.state_dict())
    else:
        now, before = (f"{space.name} ({len(space)} emotions)" for space in (labels, trained.labels))
        yield f"  head: starts anew for {now}; it was made for {before}"


def _take_part(part: str, module: nn.Module, trained: nn.Module) -> Iterator[str]:
    """Load a part of the same kind and size; yield a line if it is another."""
    own, weights = module.state_dict(), trained.state_dict()
    if type(module) is type(trained) and not differing(weights, own):
        module.load_state_dict(weights)
    elif type(module) is not type(trained):
        now, before = ("none" if isinstance(kind, nn.Identity) else type(kind).__name__
                       for kind in (module, trained))  # fmt: skip
        yield f"  {part}: {now} instead of {before}{', starts anew' if own else ''}"
    else:
        key = differing(weights, own)[0]
        now, before = ("x".join(map(str, state[key].shape)) for state in (own, weights))
        why = ", for another model.image_size" if isinstance(module, FlattenDense) else ""
        yield f"  {part}: starts anew with {key} of {now}; it was {before}{why}"
