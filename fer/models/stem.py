"""The first layers of a timm backbone, which throw most of a small picture away."""

from torch import nn

from fer.errors import FerError, did_you_mean
from fer.models.backbone import pretrained_config

STEMS = ("auto", "default", "unpooled", "small")
# Most backbones divide the side by 32. Three cells a side should be left: from 96 px they are, and from 48 px
# behind half of a ResNet's stem.
SMALL_IMAGE = 96
TINY_IMAGE = 48


def apply_stem(model: nn.Module, stem: str, image_size: int) -> str:
    """Change the stem of a timm model in place.

    ``unpooled`` leaves the max pooling of a ResNet's stem out, ``small`` takes its first convolution with
    stride 1 besides: maps of twice and four times the side, at four and sixteen times the cost. The kernel
    stays as it is (7x7 for a ResNet): pretrained filters stay whole, and the state dict keeps its keys and
    shapes. A central crop to 3x3 would be quicker, but throws 40 of 49 pretrained weights away.

    Args:
        model: From ``timm.create_model``.
        stem: ``default``, ``unpooled``, ``small``, or ``auto``: the cheapest of them, as far as the model has
            them, that leaves 3x3 cells of the picture.
        image_size: Side of the pictures, in pixels.

    Returns:
        What ``auto`` came to, else ``stem``.

    Raises:
        FerError: An unknown ``stem``, or one for a model that has no such stem to change.
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
            f"model.stem={stem}: {name} does not start with an overlapping convolution of "
            "stride 2. Use model.stem=default, and a smaller patch_size in model.kwargs where it takes one."
        )
    if stem == "unpooled" and not pooled:
        raise FerError(f"model.stem=unpooled: {name} has no pooling in its stem. Use model.stem=small.")


def _cheapest_stem(image_size: int, pooled: bool) -> str:
    if image_size >= SMALL_IMAGE:
        return "default"
    return "unpooled" if pooled and image_size >= TINY_IMAGE else "small"


def strided_stem(model: nn.Module) -> list[nn.Conv2d]:
    """Return the first convolutions of a timm model if all of them overlap and have stride 2, else none."""
    names = pretrained_config(model).get("first_conv") or ()
    layers = [model.get_submodule(name) for name in ([names] if isinstance(names, str) else names)]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    # kernel = stride is a patch embedding: with stride 1 it would be another layer altogether
    fits = all(conv.stride == (2, 2) and conv.kernel_size[0] > 2 for conv in convs)
    return convs if fits and len(convs) == len(layers) else []
