"""Build a classifier from its config: the choice of its parts by name."""

from collections.abc import Sequence

from torch import nn

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.registry import MODELS, Entry
from fer.core.signature import accepted
from fer.models.attention import build_attention
from fer.models.backbone import Backbone, TimmBackbone, pretrained_config, probe
from fer.models.classifier import EmotionClassifier, FlattenDense, Pool
from fer.models.cnn import BaselineCNN, FastCNN
from fer.models.config import AttentionConfig, ModelConfig


def build_model(
    model: Part,
    num_classes: int,
    image_channels: int,
    attention: Part = "none",
) -> EmotionClassifier:
    """Build a classifier.

    The same config with ``pretrained=False`` builds the same architecture without a download, ready to load a
    checkpoint: mean and standard deviation of pretrained weights are in the state dict.

    Args:
        model: The `ModelConfig`, its plain values, or its name.
        num_classes: Number of emotions.
        image_channels: Channels of the data's images, 1 or 3; used where ``in_channels`` is None.
        attention: The `AttentionConfig`, likewise.

    Raises:
        FerError: An invalid value; the message names the key.
    """
    settings = ModelConfig.of(model)
    if settings.init_from is not None:
        settings = settings.replace(pretrained=False)
    in_channels = settings.in_channels or image_channels
    entry = MODELS.find(settings.name)
    backbone = (
        _timm_backbone(settings, in_channels) if entry is None else _registered(entry, settings, in_channels)
    )
    features = probe(backbone, (in_channels, settings.image_size, settings.image_size))
    _check_features(settings.name, backbone, features.shape)
    grid = features.shape[-2:]
    module = _attention(AttentionConfig.of(attention), settings, backbone, grid)
    if isinstance(module, Pool) and settings.pool == "dense":
        raise FerError("model.pool: expected auto with attention=multi_head, which pools itself, got dense.")
    pool = module if isinstance(module, Pool) else _pool(settings.pool, backbone, grid)
    return EmotionClassifier(
        backbone,
        num_classes,
        attention=None if module is pool else module,
        pool=pool,
        dropout=settings.dropout,
        in_channels=in_channels,
        **_statistics(settings, backbone),
    )


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters, including frozen ones."""
    return sum(parameter.numel() for parameter in model.parameters())


def is_timm_model(name: str) -> bool:
    """Return whether timm has a model of this name, with or without the tag of its weights."""
    # Imported here: timm takes seconds to import, and the built-in backbones do not need it.
    from timm import is_model

    return bool(is_model(name.partition(".")[0]))


def _registered(entry: Entry, settings: ModelConfig, in_channels: int) -> Backbone:
    if not entry.is_builtin and is_timm_model(entry.name):
        raise FerError(
            f"model={entry.name}: registered by {entry.module}, but timm has a model of this name. Choose "
            "another name."
        )
    if settings.pretrained:
        raise FerError(
            f"model.pretrained: {entry.name} has no pretrained weights. Set it to false, or use "
            "model.init_from."
        )
    if settings.stem != "auto":
        raise FerError(f"model.stem={settings.stem}: {entry.name} has a fixed stem. Set it to auto.")
    given = accepted(entry.build, {"in_channels": in_channels, "image_size": settings.image_size})
    try:
        backbone = entry.build(**given, **settings.kwargs)
    except TypeError as error:
        if not entry.is_builtin:
            raise
        raise FerError(
            f"model.kwargs: {entry.name} does not take {dict(settings.kwargs)} ({error})."
        ) from error
    if not isinstance(backbone, Backbone):
        raise FerError(
            f"model={entry.name}: expected {entry.origin} to return a fer.Backbone, got a "
            f"{type(backbone).__name__}. Derive it from fer.Backbone instead of nn.Module."
        )
    return backbone


def _check_features(name: str, backbone: Backbone, shape: Sequence[int]) -> None:
    """Raise FerError unless a backbone returns what it declares: a map of ``num_features`` channels."""
    declared = getattr(backbone, "num_features", None)
    if len(shape) != 4 or shape[1] != declared:
        raise FerError(
            f"model={name}: expected a feature map (B, num_features, h, w) with num_features={declared}, got "
            f"the shape {tuple(shape)}. Set self.num_features to the channels of the map."
        )


def _timm_backbone(settings: ModelConfig, in_channels: int) -> Backbone:
    # Imported here: timm takes seconds to import, and the built-in backbones do not need it.
    from fer.models.timm_backbone import build_timm_backbone

    return build_timm_backbone(
        settings.name, settings.image_size, in_channels, settings.pretrained, settings.stem, settings.kwargs
    )


def _attention(
    config: AttentionConfig, settings: ModelConfig, backbone: Backbone, grid: Sequence[int]
) -> nn.Module | None:
    attention = build_attention(config, backbone.num_features)
    if hasattr(attention, "mask") and tuple(grid) == (1, 1):
        raise FerError(
            f"attention={config.name} needs a feature map, but {settings.name} returns one "
            f"cell for images of {settings.image_size} px. Use attention=none, a larger image_size or "
            "another model."
        )
    return attention


def _pool(name: str, backbone: Backbone, grid: Sequence[int]) -> Pool | None:
    """Return a dense layer over all cells, or None for their mean."""
    dense = name == "dense" or (name == "auto" and isinstance(backbone, BaselineCNN | FastCNN))
    return FlattenDense(backbone.num_features, grid[0]) if dense else None


def _statistics(settings: ModelConfig, backbone: Backbone) -> dict[str, tuple[float, ...]]:
    """Return the mean and standard deviation of pretrained weights; {} for the classifier's defaults."""
    if not isinstance(backbone, TimmBackbone) or not settings.pretrained:
        return {}
    pretrained = pretrained_config(backbone.model)
    return {"mean": tuple(pretrained["mean"]), "std": tuple(pretrained["std"])}
