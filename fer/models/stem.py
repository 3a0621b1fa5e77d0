"""Reduce the downsampling in the first layers of a timm backbone, for small images."""

from torch import nn

from fer.errors import FerError, did_you_mean
from fer.models.backbone import pretrained_config

STEMS = ("auto", "default", "unpooled", "small")
# Most backbones downsample by 32. A feature map of at least 3x3 cells needs 96 px with the default stem, and
# 48 px without the stem's pooling.
MIN_SIZE_DEFAULT_STEM = 96
MIN_SIZE_UNPOOLED_STEM = 48


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
    if stem not in STEMS:
        hint = did_you_mean(str(stem), STEMS)
        raise FerError(f"model.stem: expected one of {', '.join(STEMS)}, got {stem!r}.{hint}")
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
