"""Build any timm backbone by name, at any image size, with or without pretrained weights."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import timm
from torch import nn

from fer.core.errors import FerError, did_you_mean
from fer.core.paths import CONFIG_DIR
from fer.core.plugins import failures
from fer.core.registry import MODELS
from fer.models.backbone import TimmBackbone, pretrained_config, token_grid
from fer.models.pretrained import download_weights, load_weights_file

# Argument of timm.create_model -> the config key that sets it.
_RESERVED = {
    "in_chans": "model.in_channels",
    "img_size": "model.image_size",
    "pretrained": "model.pretrained",
    "num_classes": "the labels of the data",
    "global_pool": "the model's own pooling",
    "drop_rate": "model.dropout",
}
# Most backbones downsample by 32. A feature map of at least 3x3 cells needs 96 px with the default stem, and
# 48 px without the stem's pooling.
MIN_SIZE_DEFAULT_STEM = 96
MIN_SIZE_UNPOOLED_STEM = 48


def build_timm_backbone(
    name: str,
    image_size: int,
    in_channels: int,
    pretrained: bool | str = False,
    stem: str = "auto",
    kwargs: Mapping[str, Any] | None = None,
) -> TimmBackbone:
    """Build a timm backbone by name.

    Args:
        name: A name of ``timm.list_models()``, with or without a pretrained tag.
        image_size: Side of the images, in pixels.
        in_channels: Input channels, 1 or 3; pretrained weights are adapted.
        pretrained: ``True`` (downloaded by timm), ``False``, or the path of a weights file.
        stem: ``auto``, ``default``, ``unpooled`` or ``small``, see ``apply_stem``.
        kwargs: Further arguments of the timm model, such as ``drop_path_rate`` or ``patch_size``.

    Raises:
        FerError: An unknown name or argument, an unsupported image size, or unavailable weights.
    """
    _check_name(name, pretrained is True)
    for key in _RESERVED.keys() & (kwargs or {}).keys():
        raise FerError(f"model.kwargs.{key}: this is set by {_RESERVED[key]}. Remove it from model.kwargs.")
    arguments = {**(kwargs or {}), "in_chans": in_channels}
    config = timm.get_pretrained_cfg(name)
    # Transformers: the patch grid is part of the architecture.
    if config is not None and config.fixed_input_size:
        arguments["img_size"] = image_size
    backbone, arguments = _assemble_unpooled(name, arguments, (in_channels, image_size, image_size), stem)
    if pretrained is True:
        download_weights(backbone.model, name, arguments)
    elif pretrained:
        load_weights_file(backbone.model, str(pretrained), in_channels)
    return backbone


def _check_name(name: str, pretrained: bool) -> None:
    """Raise FerError, with what exists, unless timm has a model, and its weights if they are requested."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        files = {file.stem for file in (CONFIG_DIR / "model").glob("*.yaml")}
        choices = sorted(files | set(MODELS.names()))
        names = [*choices, *timm.list_models()]
        raise FerError(
            f"model.name: there is no model {name!r}.{did_you_mean(architecture, names)} "
            f"Use {', '.join(choices)}, any name of timm.list_models(), or one of a plugin: "
            f"plugins=[MODULE].{failures()}"
        )
    known = timm.list_pretrained(f"{architecture}.*") if tag or pretrained else []
    if tag and name not in known:
        available = ", ".join(known) or "none"
        raise FerError(f"model.name: {architecture} has no weights {tag!r}. Available: {available}.")
    if pretrained and not timm.is_model_pretrained(name):
        raise FerError(f"model.pretrained: timm has no weights for {name}. Use model.pretrained=false.")


def _assemble_unpooled(
    name: str, arguments: dict[str, Any], input_shape: tuple[int, int, int], stem: str
) -> tuple[TimmBackbone, dict[str, Any]]:
    """Return the backbone and its arguments, without pooling unless the model has no feature map."""
    unpooled = {**arguments, "global_pool": ""}
    # Some models require pooling. Any other error is raised again below.
    with suppress(FerError):
        backbone = _assemble(name, unpooled, input_shape, stem)
        if not backbone.is_pooled:
            return backbone, unpooled
    return _assemble(name, arguments, input_shape, stem), arguments


def _assemble(
    name: str, arguments: dict[str, Any], input_shape: tuple[int, int, int], stem: str
) -> TimmBackbone:
    try:
        model = timm.create_model(name, num_classes=0, **arguments)
    except TypeError as error:
        raise FerError(f"model.kwargs: {name} cannot be built from {arguments}: {error}.") from error
    except (AssertionError, RuntimeError, ValueError) as error:
        size = input_shape[-1]
        raise FerError(f"model.image_size: {name} cannot be built for {size} px: {error}") from error
    _check_patches(model, name, input_shape[-1])
    chosen = apply_stem(model, stem, input_shape[-1])
    return TimmBackbone(model, input_shape, chosen)


def _check_patches(model: nn.Module, name: str, image_size: int) -> None:
    sizes = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    if token_grid(model) is None or sizes is None:
        return
    patch = max(sizes)
    if image_size % patch:
        below = max(image_size // patch, 1) * patch
        raise FerError(
            f"model.image_size: {name} splits the image into patches of {patch} px, so expected a multiple "
            f"of {patch}, got {image_size}. Use {below} or {below + patch}, or a patch_size in model.kwargs."
        )


def apply_stem(model: nn.Module, stem: str, image_size: int) -> str:
    """Change the stem of a timm model in place.

    ``unpooled`` removes the max pooling of a ResNet's stem. ``small`` also sets the stride of the first
    convolution to 1. The feature map gets two and four times the side, at four and sixteen times the cost.
    The kernel size does not change (7x7 for a ResNet), so pretrained filters and the state dict remain valid.
    Cropping the kernel to 3x3 would be faster, but discards 40 of 49 pretrained weights.

    Args:
        model: From ``timm.create_model``.
        stem: ``default``, ``unpooled``, ``small``, or ``auto``: the cheapest that the model supports and that
            leaves a feature map of 3x3 cells.
        image_size: Side of the images, in pixels.

    Returns:
        The stem that ``auto`` chose, else ``stem``.

    Raises:
        FerError: An unknown ``stem``, or one that the model does not support.
    """
    convs, pooled = strided_stem(model), isinstance(getattr(model, "maxpool", None), nn.MaxPool2d)
    _check_stem(model, stem, bool(convs), pooled)
    if stem == "auto":
        stem = _cheapest_stem(image_size, pooled) if convs else "default"
    if convs and pooled and stem in ("unpooled", "small"):
        model.maxpool = nn.Identity()
    if stem == "small":
        for conv in convs:
            conv.stride = (1, 1)
    return stem


def _check_stem(model: nn.Module, stem: str, strided: bool, pooled: bool) -> None:
    name = type(model).__name__
    if stem in ("unpooled", "small") and not strided:
        raise FerError(
            f"model.stem={stem}: expected a model that starts with an overlapping convolution of stride 2, "
            f"got {name}. Use model.stem=default, and a smaller patch_size in model.kwargs if it takes one."
        )
    if stem == "unpooled" and not pooled:
        raise FerError(f"model.stem=unpooled: {name} has no pooling in its stem. Use model.stem=small.")


def _cheapest_stem(image_size: int, pooled: bool) -> str:
    if image_size >= MIN_SIZE_DEFAULT_STEM:
        return "default"
    return "unpooled" if pooled and image_size >= MIN_SIZE_UNPOOLED_STEM else "small"


def strided_stem(model: nn.Module) -> list[nn.Conv2d]:
    """Return the first convolutions of a timm model if all overlap and have stride 2, else ``[]``."""
    names = pretrained_config(model).get("first_conv") or ()
    layers = [model.get_submodule(name) for name in ([names] if isinstance(names, str) else names)]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    # A kernel as large as the stride is a patch embedding, which has no meaning with stride 1.
    overlap = all(conv.stride == (2, 2) and conv.kernel_size[0] > 2 for conv in convs)
    return convs if overlap and len(convs) == len(layers) else []
