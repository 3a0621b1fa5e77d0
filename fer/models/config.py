"""Configs of the network, the groups ``model`` and ``attention``."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from fer.core.config import Choice, Config, Count, Number
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.registry import ATTENTIONS, MODELS


class ModelConfig(Config):
    """A network, without its attention.

    Attributes:
        name: ``baseline_cnn``, ``fast_cnn``, a registered model (`fer.register_model`) or a timm name.
        image_size: Side of the images, in pixels.
        in_channels: Input channels of the backbone; None for those of the data.
        pretrained: True (downloaded), False, or the path of a weights file; timm backbones only.
        init_from: Source of initial weights for `fer.training.transfer`; overrides ``pretrained``.
        freeze_epochs: Epochs for which `fer.training.callbacks` keeps the backbone frozen.
        stem: ``auto``, ``default``, ``unpooled`` or ``small``; timm backbones only.
        pool: ``mean`` of the cells, ``dense`` (a dense layer over all cells, which depends on their
            position), or ``auto``: dense for the built-in networks, mean for others.
        dropout: Dropout probability before the head.
        kwargs: Further arguments of the backbone; those of a registered model are checked and completed.
    """

    key: ClassVar[str] = "model"
    path_fields: ClassVar[tuple[str, ...]] = ("pretrained",)
    name: str
    image_size: Annotated[int, Field(ge=16)] = 48
    in_channels: Literal[1, 3] | None = None
    pretrained: bool | str = False
    init_from: str | None = None
    freeze_epochs: Annotated[int, Field(ge=0)] = 0
    stem: Literal["auto", "default", "unpooled", "small"] = "auto"
    pool: Literal["auto", "mean", "dense"] = "auto"
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    kwargs: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name:
            raise FerError("model.name: expected baseline_cnn, fast_cnn or a timm name, got nothing.")
        return name

    @field_validator("kwargs")
    @classmethod
    def _check_kwargs(cls, kwargs: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        entry = MODELS.find(info.data.get("name", ""))
        if entry is None or entry.options is None:
            return kwargs
        options: Config = entry.options.from_dict(kwargs)
        return options.to_dict()

    def with_absolute_paths(self) -> Self:
        """Return a copy with absolute paths; an ``init_from`` that does not exist is the name of a model."""
        config = super().with_absolute_paths()
        if config.init_from is None or not (path := expand_user(config.init_from)).exists():
            return config
        return config.replace(init_from=str(path.absolute()))


class BackboneOptions(Config):
    """Base of the options of a registered model."""

    key: ClassVar[str] = "model.kwargs"


class AttentionConfig(Choice):
    """An attention on the feature map; the subclass is chosen by ``name``."""

    key: ClassVar[str] = "attention"


class NoAttention(AttentionConfig):
    """The feature map goes directly to the pooling."""

    name: Literal["none"] = "none"


class SpatialConfig(AttentionConfig):
    """The spatial branch of CBAM; ``kernel_size`` is the side of its convolution, in cells."""

    name: Literal["spatial"] = "spatial"
    kernel_size: Count = 7

    @field_validator("kernel_size")
    @classmethod
    def _check_odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise FerError(f"attention.kernel_size: expected an odd number such as 7, got {size}.")
        return size


class SqueezeExcitationConfig(AttentionConfig):
    """Channel attention; ``reduction`` is channels / channels of the bottleneck."""

    name: Literal["squeeze_excitation"] = "squeeze_excitation"
    reduction: Count = 16


class CBAMConfig(SpatialConfig):
    """Channel attention, then spatial attention."""

    name: Literal["cbam"] = "cbam"  # type: ignore[assignment]
    reduction: Count = 16


class MultiHeadConfig(AttentionConfig):
    """Pooling with several attention heads; ``num_heads`` is at least 2."""

    name: Literal["multi_head"] = "multi_head"
    num_heads: Annotated[int, Field(ge=2)] = 4
    reduction: Count = 16


# The models of timm in ``conf/model``.
MODELS.reserve("timm", "resnet18", "resnet50", "efficientnet_b0", "mobilenetv2_100", "vit_tiny_patch16_224")
# Options of the built-in models are not declared: those of stored checkpoints are taken as they are.
MODELS.add("baseline_cnn", "fer.models.cnn:BaselineCNN")
MODELS.add("fast_cnn", "fer.models.cnn:FastCNN")
ATTENTIONS.add("none", "fer.models.attention:no_attention", NoAttention)
ATTENTIONS.add("spatial", "fer.models.attention:spatial", SpatialConfig)
ATTENTIONS.add("cbam", "fer.models.attention:CBAM", CBAMConfig)
ATTENTIONS.add("squeeze_excitation", "fer.models.attention:squeeze_excitation", SqueezeExcitationConfig)
ATTENTIONS.add("multi_head", "fer.models.attention:multi_head", MultiHeadConfig)
