"""Build a classifier from its config: the choice of its parts by name."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from fer.core.config import Part
from fer.core.errors import FerError
from fer.models.attention import build_attention
from fer.models.backbone import Backbone, TimmBackbone, pretrained_config, probe
from fer.models.classifier import EmotionClassifier, FlattenDense, Pool
from fer.models.cnn import BaselineCNN, FastCNN
from fer.models.config import AttentionConfig, ModelConfig

BUILTIN_BACKBONES: dict[str, Callable[..., Any]] = {"baseline_cnn": BaselineCNN, "fast_cnn": FastCNN}


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
    build_backbone = _builtin_backbone if settings.name in BUILTIN_BACKBONES else _timm_backbone
    backbone = build_backbone(settings, in_channels)
    grid = probe(backbone, (in_channels, settings.image_size, settings.image_size)).shape[-2:]
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


def _builtin_backbone(settings: ModelConfig, in_channels: int) -> Backbone:
    if settings.pretrained:
        raise FerError(f"model.pretrained: {settings.name} has no pretrained weights. Set it to false.")
    if settings.stem != "auto":
        raise FerError(f"model.stem={settings.stem}: {settings.name} has a fixed stem. Set it to auto.")
    try:
        return BUILTIN_BACKBONES[settings.name](in_channels=in_channels, **settings.kwargs)
    except TypeError as error:
        raise FerError(
            f"model.kwargs: {settings.name} does not take {dict(settings.kwargs)} ({error})."
        ) from error


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
