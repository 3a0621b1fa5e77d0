"""The first layers of a timm backbone, which throw most of a small picture away."""

from torch import nn

from fer.errors import FerError, did_you_mean
from fer.models.backbone import pretrained_config

STEMS = ("auto", "default", "small")
# ImageNet stems divide the side by 4 before the first block: below this many pixels too little is left.
SMALL_IMAGE = 96


def apply_stem(model: nn.Module, stem: str, image_size: int) -> None:
    """Change the stem of a timm model in place.

    ``small`` takes the first convolution with stride 1 and leaves the max pooling after it out. The kernel
    stays as it is (7x7 for a ResNet): pretrained filters stay whole, and the state dict keeps its keys and
    shapes. A central crop to 3x3 would be quicker, but throws 40 of 49 pretrained weights away.

    Args:
        model: From ``timm.create_model``.
        stem: ``default``, ``small``, or ``auto``: small below 96 px where the model has such a stem.
        image_size: Side of the pictures, in pixels.

    Raises:
        FerError: An unknown ``stem``, or ``small`` for a model that cuts the picture into patches.
    """
    if stem not in STEMS:
        hint = did_you_mean(str(stem), STEMS)
        raise FerError(f"model.stem: expected one of {', '.join(STEMS)}, got {stem!r}.{hint}")
    convs = strided_stem(model)
    if stem == "small" and not convs:
        raise FerError(
            f"model.stem=small: {type(model).__name__} does not start with an overlapping convolution of "
            "stride 2. Use model.stem=default, and a smaller patch_size in model.kwargs where it takes one."
        )
    if stem == "small" or (stem == "auto" and image_size < SMALL_IMAGE):
        keep_resolution(model, convs)


def strided_stem(model: nn.Module) -> list[nn.Conv2d]:
    """Return the first convolutions of a timm model if all of them overlap and have stride 2, else none."""
    names = pretrained_config(model).get("first_conv") or ()
    layers = [model.get_submodule(name) for name in ([names] if isinstance(names, str) else names)]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    # kernel = stride is a patch embedding: with stride 1 it would be another layer altogether
    fits = all(conv.stride == (2, 2) and conv.kernel_size[0] > 2 for conv in convs)
    return convs if fits and len(convs) == len(layers) else []


def keep_resolution(model: nn.Module, convs: list[nn.Conv2d]) -> None:
    """Take the stride of ``convs`` and the max pooling of a ResNet stem out."""
    for conv in convs:
        conv.stride = (1, 1)
    if convs and isinstance(getattr(model, "maxpool", None), nn.MaxPool2d):
        model.maxpool = nn.Identity()
