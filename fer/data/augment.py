"""Augmentation of a whole batch at once, on the device that holds it.

Every image draws its own parameters, but as vectors: nothing here loops over images. Flip, rotation, zoom,
shear, translation, crop and enlargement are one affine map, so each pixel is interpolated once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.errors import FerError

_NUM_DRAWS = 16  # uniform numbers an image: 9 for the affine map, 2 for light, 5 for the erased rectangle
_MAX_ASPECT = 3.0  # of an erased rectangle; the range of Zhong et al. 2017, https://arxiv.org/abs/1708.04896


@dataclass(frozen=True)
class Recipe:
    """How strongly to augment; every range is symmetric and uniform, and all zeros change nothing.

    Args:
        flip: Probability of a mirror image, 0 to 1.
        rotation: Largest turn either way, degrees, 0 to 180.
        scale: Largest relative zoom in or out, 0 to below 1: the factor lies in [1 - scale, 1 + scale].
        translate: Largest shift along each axis, share of the side, 0 to 1.
        shear: Largest horizontal shear either way, degrees, 0 to below 90.
        crop: Largest share of the side that a random square crop cuts away, 0 to below 1.
        brightness: Largest shift of all pixels, in the unit of [0, 1] images, 0 to 1.
        contrast: Largest relative change of contrast around the image mean, 0 to 1.
        erase: Probability that one rectangle is painted with the image mean, 0 to 1.
        erase_min: Smallest erased share of the image's area, 0 to erase_max.
        erase_max: Largest erased share of the image's area, up to 1.

    Raises:
        FerError: A number lies outside its range.
    """

    flip: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    translate: float = 0.0
    shear: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    erase_min: float = 0.0
    erase_max: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers outside their ranges."""
        closed = {"rotation": 180.0, "erase_min": self.erase_max}
        half_open = {"scale": 1.0, "crop": 1.0, "shear": 90.0}
        for name, value in vars(self).items():
            top = half_open.get(name, closed.get(name, 1.0))
            if not 0 <= value <= top or (name in half_open and value == top):
                span = f"[0, {top:g}" + (")" if name in half_open else "]")
                raise FerError(f"augmentation.{name}: expected a number in {span}, got {value}. Change it.")

    @property
    def has_geometry(self) -> bool:
        """Whether pixels move other than by a resize."""
        return any((self.flip, self.rotation, self.scale, self.translate, self.shear, self.crop))


class BatchAugmentation:
    """Augment a batch of images, each with parameters of its own.

    Args:
        recipe: How strongly.

    Example:
        >>> images = torch.zeros(8, 1, 48, 48, dtype=torch.uint8)
        >>> BatchAugmentation(Recipe(flip=0.5))(images, size=40).shape
        torch.Size([8, 1, 40, 40])
    """

    def __init__(self, recipe: Recipe) -> None:
        """Keep the recipe."""
        self.recipe = recipe

    def __call__(self, images: Tensor, size: int, generator: torch.Generator | None = None) -> Tensor:
        """Augment and resize.

        Args:
            images: uint8 ``(B, C, H, W)`` on any device.
            size: Side of the result, pixels.
            generator: Source of randomness, on the device of the images; None is that device's default.

        Returns:
            float32 ``(B, C, size, size)`` in [0, 1]; the same seed gives the same result.
        """
        draws = torch.rand(_NUM_DRAWS, len(images), generator=generator, device=images.device)
        pixels = self._place(images, size, draws[:9])
        if self.recipe.brightness or self.recipe.contrast:
            pixels = change_light(pixels, self.recipe, draws[9:11])
        if self.recipe.erase:
            pixels = erase(pixels, self.recipe, draws[11:])
        return pixels

    def _place(self, images: Tensor, size: int, draws: Tensor) -> Tensor:
        """Resize, and warp if the recipe moves pixels."""
        if not self.recipe.has_geometry:
            return to_float(images, size)
        shrinks = size < max(images.shape[-2:])  # before the warp, which does not antialias
        pixels = to_float(images, size) if shrinks else images.to(torch.float32) / 255
        return warp(pixels, affine_matrices(self.recipe, draws), size)


def to_float(images: Tensor, size: int) -> Tensor:
    """Resize without randomness, antialiased where the image shrinks.

    Args:
        images: uint8 ``(B, C, H, W)``.
        size: Side of the result, pixels.

    Returns:
        float32 ``(B, C, size, size)`` in [0, 1].
    """
    return resize(images.to(torch.float32) / 255, size)


def resize(pixels: Tensor, size: int) -> Tensor:
    """Return float pictures ``(B, C, H, W)`` as ``(B, C, size, size)``, as training and evaluation do."""
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    if height == width == 2 * size:  # a 2x2 mean is the antialiasing filter's cheap relative
        return F.avg_pool2d(pixels, 2)
    resized = F.interpolate(pixels, (size, size), mode="bilinear", antialias=size < max(height, width))
    return resized.clamp_(0, 1)  # filter weights sum to one only up to rounding


def affine_matrices(recipe: Recipe, draws: Tensor) -> Tensor:
    """Maps from output to input coordinates, both in [-1, 1] as in ``torch.nn.functional.affine_grid``.

    Args:
        recipe: Ranges of the parameters.
        draws: Uniform numbers in [0, 1), ``(9, B)``.

    Returns:
        ``(B, 2, 3)``; a factor below one in it magnifies the image.
    """
    flip, signed = draws[0], draws[1:8] * 2 - 1
    angle = torch.deg2rad(signed[0] * recipe.rotation)
    kept = 1 - draws[8] * recipe.crop
    extent = kept / (1 + signed[1] * recipe.scale)
    mirror = 1 - 2 * (flip < recipe.flip).to(extent.dtype)
    slant = torch.tan(torch.deg2rad(signed[2] * recipe.shear))
    cos, sin = angle.cos() * extent, angle.sin() * extent
    shift = 2 * recipe.translate * signed[3:5] + (1 - kept) * signed[5:7]  # the axes are two units long
    rows = [cos * mirror, cos * slant - sin, shift[0], sin * mirror, sin * slant + cos, shift[1]]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def warp(pixels: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Sample bilinearly through affine maps; outside the image its border goes on.

    Args:
        pixels: float ``(B, C, H, W)``.
        matrices: ``(B, 2, 3)`` from output to input coordinates.
        size: Side of the result, pixels.

    Returns:
        float ``(B, C, size, size)`` within the range of the input.
    """
    centres = (torch.arange(size, device=pixels.device) * 2 + 1) / size - 1
    along_x = matrices[:, :, 0, None] * centres + matrices[:, :, 2, None]
    along_y = matrices[:, :, 1, None] * centres
    # The same numbers as F.affine_grid, whose matrix product of depth three costs more than the sampling.
    grid = along_y.transpose(1, 2)[:, :, None] + along_x.transpose(1, 2)[:, None]
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def change_light(pixels: Tensor, recipe: Recipe, draws: Tensor) -> Tensor:
    """Change brightness and contrast in place; ``draws`` is ``(2, B)`` in [0, 1), one number a change."""
    signed = (draws * 2 - 1).view(2, -1, 1, 1, 1)
    factor = 1 + signed[1] * recipe.contrast
    offset = _image_mean(pixels) * (1 - factor) + signed[0] * recipe.brightness
    return pixels.mul_(factor).add_(offset).clamp_(0, 1)


def erase(pixels: Tensor, recipe: Recipe, draws: Tensor) -> Tensor:
    """Paint a rectangle of some images with their mean (random erasing, https://arxiv.org/abs/1708.04896).

    Args:
        pixels: float ``(B, C, S, S)``.
        recipe: Probability and area; sides are rounded to whole pixels.
        draws: Uniform numbers in [0, 1), ``(5, B)``.

    Returns:
        float ``(B, C, S, S)``.
    """
    side = pixels.shape[-1]
    area = recipe.erase_min + draws[1] * (recipe.erase_max - recipe.erase_min)
    height = (area.sqrt() * _MAX_ASPECT ** (draws[2] - 0.5)).clamp(max=1.0)
    width = (area / height.clamp(min=1e-6)).clamp(max=1.0)
    width = width * (draws[0] < recipe.erase)
    rows, columns = _span(height, draws[3], side), _span(width, draws[4], side)
    inside = rows[:, None, :, None] * columns[:, None, None, :]
    return pixels.lerp(_image_mean(pixels), inside)  # exact for 0 and 1, and faster than torch.where


def _span(share: Tensor, where: Tensor, side: int) -> Tensor:
    """Mark ``share`` of ``side`` cells, starting anywhere that leaves it inside: 0 or 1, ``(B, side)``."""
    length = (share * side).round()
    start = (where * (side - length + 1)).floor()
    cells = torch.arange(side, device=share.device)
    inside = (cells >= start[:, None]) & (cells < (start + length)[:, None])
    return inside.to(share.dtype)


def _image_mean(pixels: Tensor) -> Tensor:
    """Mean over channels and cells, ``(B, 1, 1, 1)``."""
    return pixels.mean(dim=(1, 2, 3), keepdim=True)
