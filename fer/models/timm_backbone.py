"""Build any timm backbone by name, at any image size, with or without pretrained weights."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import timm
from torch import nn

from fer.errors import FerError, did_you_mean
from fer.models.backbone import TimmBackbone, token_grid
from fer.models.stem import apply_stem
from fer.models.weights import download_weights, load_weights_file

# Arguments of timm.create_model, and the config key that sets each.
RESERVED = {
    "in_chans": "model.in_channels",
    "img_size": "model.image_size",
    "pretrained": "model.pretrained",
    "num_classes": "the labels of the data",
    "global_pool": "the model's own pooling",
    "drop_rate": "model.dropout",
}


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
    check_name(name, pretrained is True)
    check_kwargs(kwargs or {})
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


def check_name(name: str, pretrained: bool) -> None:
    """Check that timm has a model, and its weights if they are requested.

    Raises:
        FerError: An unknown name, or no such weights; the message suggests what exists.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names = ["baseline_cnn", "fast_cnn", *timm.list_models()]
        raise FerError(
            f"model.name: there is no model {name!r}.{did_you_mean(architecture, names)} "
            "Use baseline_cnn, fast_cnn or any name of timm.list_models()."
        )
    known = timm.list_pretrained(f"{architecture}.*") if tag or pretrained else []
    if tag and name not in known:
        available = ", ".join(known) or "none"
        raise FerError(f"model.name: {architecture} has no weights {tag!r}. Available: {available}.")
    if pretrained and not timm.is_model_pretrained(name):
        raise FerError(f"model.pretrained: timm has no weights for {name}. Use model.pretrained=false.")


def check_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Check that no argument in ``model.kwargs`` has its own config key.

    Raises:
        FerError: An argument has one; the message names the key.
    """
    for key in RESERVED.keys() & kwargs.keys():
        raise FerError(f"model.kwargs.{key}: this is set by {RESERVED[key]}. Remove it from model.kwargs.")


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
