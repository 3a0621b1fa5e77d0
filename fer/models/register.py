"""`register_model` and `register_attention`, for models and attentions outside of this package."""

from collections.abc import Callable
from typing import TypeVar

from fer.core.registry import ATTENTIONS, MODELS, Builder
from fer.core.signature import options_from
from fer.models.config import AttentionConfig, BackboneOptions

_Builder = TypeVar("_Builder", bound=Builder)


def register_model(name: str) -> Callable[[_Builder], _Builder]:
    """Register a model: a class or function that returns a `fer.Backbone`.

    It is called with ``in_channels`` (1 or 3), with ``image_size`` in pixels if it takes that, and with its
    own options, ``model.kwargs`` of the config. Their types and defaults are those of its signature: plain
    values, such as ``width: int = 32`` or ``act: Literal["relu", "gelu"] = "relu"``.

    >>> @fer.register_model("tiny_net")
    ... class TinyNet(fer.Backbone):
    ...     def __init__(self, in_channels: int, width: int = 32) -> None:
    ...         super().__init__()
    ...         self.num_features = width
    ...         self.conv = nn.Conv2d(in_channels, width, 8, stride=8)
    ...
    ...     def forward_features(self, x):
    ...         return self.conv(x).relu()

    ``fer-train plugins=[my_project.parts] model=tiny_net model.kwargs.width=64``.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = MODELS.add(name, build)
        given = ("in_channels", "image_size")
        entry.options = options_from(build, BackboneOptions, name, given, with_name=False)
        return build

    return register


def register_attention(name: str) -> Callable[[_Builder], _Builder]:
    """Register an attention: a class or function that returns a module for the feature map.

    It is called with ``num_channels`` and with its own options. The module maps ``(B, C, h, w)`` to the same
    shape, or is a `fer.models.classifier.Pool`, to ``(B, num_features)``. With a method ``mask``, ``(B, C, h,
    w)`` to ``(B, 1, h, w)`` in (0, 1), its map is shown and exported.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = ATTENTIONS.add(name, build)
        entry.options = options_from(build, AttentionConfig, name, ("num_channels",))
        return build

    return register
