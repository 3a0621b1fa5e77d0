"""Build a classifier from a plain dict: the validated config, and the choice of its parts by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import nn

from fer.core.errors import FerError, did_you_mean
from fer.models.attention import build_attention
from fer.models.backbone import Backbone, TimmBackbone, pretrained_config, probe
from fer.models.classifier import EmotionClassifier, FlattenDense, Pool
from fer.models.cnn import BaselineCNN, FastCNN

POOLS = ("auto", "mean", "dense")
BUILTIN_BACKBONES: dict[str, Callable[..., Any]] = {"baseline_cnn": BaselineCNN, "fast_cnn": FastCNN}


@dataclass(frozen=True)
class ModelConfig:
    """The validated description of a model.

    Attributes:
        name: ``baseline_cnn``, ``fast_cnn`` or a timm name.
        image_size: Side of the images, in pixels.
        in_channels: Input channels of the backbone, 1 or 3; ``None`` for those of the data.
        pretrained: ``True`` (downloaded), ``False``, or the path of a weights file; timm backbones only.
        init_from: Source of initial weights for `fer.training.transfer`; overrides ``pretrained``.
        freeze_epochs: Epochs for which `fer.training.callbacks` keeps the backbone frozen, 0 or more.
        stem: ``auto``, ``default``, ``unpooled`` or ``small``; timm backbones only.
        pool: ``mean`` of the cells, ``dense`` (a dense layer over all cells, which depends on their
            position), or ``auto``: dense for the built-in networks, mean for others.
        dropout: Dropout probability before the head, in [0, 1).
        attention: ``name`` and its options.
        kwargs: Further arguments of the backbone.
    """

    name: str
    image_size: int = 48
    in_channels: int | None = None
    pretrained: bool | str = False
    init_from: str | None = None
    freeze_epochs: int = 0
    stem: str = "auto"
    pool: str = "auto"
    dropout: float = 0.0
    attention: Mapping[str, Any] = field(default_factory=lambda: {"name": "none"})
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the values that would cause unclear errors later."""
        if self.in_channels not in (None, 1, 3):
            raise FerError(f"model.in_channels: expected 1, 3 or null, got {self.in_channels!r}.")
        if not isinstance(self.image_size, int) or self.image_size < 16:
            got = repr(self.image_size)
            raise FerError(f"model.image_size: expected a whole number of at least 16 pixels, got {got}.")
        if not isinstance(self.kwargs, Mapping):
            raise FerError(f"model.kwargs: expected options by name, {{}} for none, got {self.kwargs!r}.")
        if not 0.0 <= self.dropout < 1.0:
            raise FerError(f"model.dropout: expected a probability in [0, 1), got {self.dropout!r}.")
        if not isinstance(self.freeze_epochs, int) or self.freeze_epochs < 0:
            got = repr(self.freeze_epochs)
            raise FerError(f"model.freeze_epochs: expected a whole number of at least 0, got {got}.")
        if self.pool not in POOLS:
            raise FerError(f"model.pool: expected one of {', '.join(POOLS)}, got {self.pool!r}.")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "ModelConfig":
        """Return the config of a plain dict; a missing key takes its default.

        Raises:
            FerError: An unknown key, no name, or a value out of range.
        """
        known = [item.name for item in fields(cls)]
        for key in config:
            if key not in known:
                raise FerError(
                    f"model: expected the keys {', '.join(known)}, got {key!r}.{did_you_mean(key, known)}"
                )
        if not config.get("name"):
            raise FerError("model.name: expected baseline_cnn, fast_cnn or a timm name, got nothing.")
        return cls(**config)


def build_model(config: Mapping[str, Any], num_classes: int, image_channels: int) -> EmotionClassifier:
    """Build a classifier from a dict.

    The same dict with ``pretrained=False`` builds the same architecture without a download, ready to load a
    checkpoint: mean and standard deviation of pretrained weights are in the state dict.

    Args:
        config: The fields of ``ModelConfig`` as a plain dict.
        num_classes: Number of emotions.
        image_channels: Channels of the data's images, 1 or 3; used where ``in_channels`` is ``None``.

    Raises:
        FerError: An invalid value in ``config``; the message names the key.
    """
    settings = ModelConfig.from_dict(config)
    if settings.init_from is not None:
        settings = replace(settings, pretrained=False)
    in_channels = settings.in_channels or image_channels
    build_backbone = _builtin_backbone if settings.name in BUILTIN_BACKBONES else _timm_backbone
    backbone = build_backbone(settings, in_channels)
    grid = probe(backbone, (in_channels, settings.image_size, settings.image_size)).shape[-2:]
    attention = _attention(settings, backbone, grid)
    if isinstance(attention, Pool) and settings.pool == "dense":
        raise FerError("model.pool: expected auto with attention=multi_head, which pools itself, got dense.")
    pool = attention if isinstance(attention, Pool) else _pool(settings.pool, backbone, grid)
    return EmotionClassifier(
        backbone,
        num_classes,
        attention=None if attention is pool else attention,
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


def _attention(settings: ModelConfig, backbone: Backbone, grid: Sequence[int]) -> nn.Module | None:
    attention = build_attention(settings.attention, backbone.num_features)
    if hasattr(attention, "mask") and tuple(grid) == (1, 1):
        raise FerError(
            f"attention={settings.attention['name']} needs a feature map, but {settings.name} returns one "
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
