"""Augmentation of a batch of images at once, on its device.

`BatchAugmentation` draws the random parameters of all images as vectors, without a loop over images. Flip,
rotation, zoom, shear, translation, crop and enlargement are one affine map, so that each pixel is
interpolated once. `fer.data.image_augment` applies the same options to one image, for files on disk.
`to_float` and `resize` are the deterministic part, also used in evaluation.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.core.errors import FerError
from fer.core.registry import AUGMENTATIONS
from fer.core.signature import accepts, parameters
from fer.data.augment_config import AugmentationConfig
from fer.data.landmarks import move_landmarks

# Uniform numbers per image: 9 for the affine map, 2 for brightness and contrast, 5 for the erased rectangle.
_NUM_DRAWS = 16
# Aspect ratio of an erased rectangle; the range of Zhong et al. 2017, https://arxiv.org/abs/1708.04896.
MAX_ASPECT = 3.0


class BatchAugmentation:
    """Augment a batch of images, each with its own random parameters.

    Args:
        config: How strongly to augment.

    Example:
        >>> images = torch.zeros(8, 1, 48, 48, dtype=torch.uint8)
        >>> BatchAugmentation(AugmentationConfig(flip=0.5))(images, size=40).shape
        torch.Size([8, 1, 40, 40])
    """

    def __init__(self, config: AugmentationConfig) -> None:
        """Store the config, and build what a plugin has registered under its name."""
        self.config = config
        self.own = own_augmentation(config)

    @property
    def strengths(self) -> AugmentationConfig:
        """The strengths alone, without the name and the options of a plugin."""
        names = AugmentationConfig.model_fields
        return AugmentationConfig(**{name: getattr(self.config, name) for name in names})

    def __call__(self, images: Tensor, size: int, generator: torch.Generator | None = None) -> Tensor:
        """Return the batch augmented and resized.

        Args:
            images: uint8 ``(B, C, H, W)`` on any device.
            size: Side of the result, in pixels.
            generator: Random generator on the device of the images; None uses the default of the device.

        Returns:
            float32 ``(B, C, size, size)`` in [0, 1]; the same seed gives the same result.
        """
        return self._augment(images, size, self._draw(images, generator), generator)

    def with_landmarks(
        self, images: Tensor, landmarks: Tensor, size: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the same batch as a call, and where its landmarks are then.

        The augmentation of a plugin must not move pixels.

        Args:
            images: uint8 ``(B, C, H, W)``.
            landmarks: ``(B, 5, 2)``, fractions of the image, see `fer.data.landmarks`.
            size: Side of the result, in pixels.
            generator: As for a call.
        """
        draws = self._draw(images, generator)
        if self.config.has_geometry:
            landmarks = move_landmarks(landmarks, affine_matrices(self.config, draws[:9]))
        return self._augment(images, size, draws, generator), landmarks

    def _draw(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return torch.rand(_NUM_DRAWS, len(images), generator=generator, device=images.device)

    def _augment(self, images: Tensor, size: int, draws: Tensor, generator: torch.Generator | None) -> Tensor:
        pixels = self.transform(images, size, draws)
        if self.config.blur or self.config.noise:
            pixels = degrade(pixels, self.config, generator)
        return self.apply_own(pixels, generator)

    def transform(self, images: Tensor, size: int, draws: Tensor) -> Tensor:
        """Return the batch augmented with uniform numbers ``(16, B)``, without that of a plugin."""
        pixels = self._resize_and_warp(images, size, draws[:9])
        if self.config.brightness or self.config.contrast:
            pixels = adjust_brightness_contrast(pixels, self.config, draws[9:11])
        if self.config.erase:
            pixels = erase(pixels, self.config, draws[11:])
        return pixels

    def apply_own(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return float images ``(B, C, S, S)`` after the augmentation of a plugin, if there is one.

        Raises:
            FerError: It has changed the shape or the type.
        """
        if self.own is None or not len(pixels):
            return pixels
        result = self.own(pixels, generator=generator) if self._takes_generator else self.own(pixels)
        if not isinstance(result, Tensor) or (result.shape, result.dtype) != (pixels.shape, pixels.dtype):
            got = (
                f"{result.dtype} {tuple(result.shape)}"
                if isinstance(result, Tensor)
                else type(result).__name__
            )
            raise FerError(
                f"augmentation={getattr(self.config, 'name', '')}: expected images {pixels.dtype} "
                f"{tuple(pixels.shape)}, as they were given, got {got}."
            )
        return result

    @functools.cached_property
    def _takes_generator(self) -> bool:
        call = self.own.forward if isinstance(self.own, torch.nn.Module) else self.own
        return call is not None and accepts(call, "generator")

    def _resize_and_warp(self, images: Tensor, size: int, draws: Tensor) -> Tensor:
        """Resize, and warp if the config moves pixels."""
        if not self.config.has_geometry:
            return to_float(images, size)
        # Shrinking happens before the warp, which does not antialias.
        shrinks = size < max(images.shape[-2:])
        pixels = to_float(images, size) if shrinks else images.to(torch.float32) / 255
        return warp(pixels, affine_matrices(self.config, draws), size)


def own_augmentation(config: AugmentationConfig) -> Callable[..., Any] | None:
    """Return the augmentation that a plugin has registered under the name of a config, if it has one.

    Raises:
        FerError: What it returns cannot be called.
    """
    if (name := getattr(config, "name", None)) is None:
        return None
    entry = AUGMENTATIONS.get(name)
    strengths = AugmentationConfig.model_fields.keys() - parameters(entry.build).keys()
    own = entry.build(**{key: value for key, value in config.options().items() if key not in strengths})
    if not callable(own):
        raise FerError(
            f"augmentation={name}: expected {entry.origin} to return a function of a batch of images, got a "
            f"{type(own).__name__}."
        )
    return own


def to_float(images: Tensor, size: int) -> Tensor:
    """Resize deterministically and scale to [0, 1]; shrinking is antialiased.

    Args:
        images: uint8 ``(B, C, H, W)``.
        size: Side of the result, in pixels.

    Returns:
        float32 ``(B, C, size, size)`` in [0, 1].
    """
    return resize(images.to(torch.float32) / 255, size)


def resize(pixels: Tensor, size: int) -> Tensor:
    """Return float images ``(B, C, H, W)`` as ``(B, C, size, size)``, as in training and evaluation."""
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    if height == width == 2 * size:
        # A 2x2 mean is a cheap approximation of the antialiasing filter.
        return F.avg_pool2d(pixels, 2)
    resized = F.interpolate(pixels, (size, size), mode="bilinear", antialias=size < max(height, width))
    # The filter weights sum to one only up to rounding.
    return resized.clamp_(0, 1)


def affine_matrices(config: AugmentationConfig, draws: Tensor) -> Tensor:
    """Return affine maps from output to input coordinates, both in [-1, 1] as in ``F.affine_grid``.

    Args:
        config: Ranges of the parameters.
        draws: Uniform numbers in [0, 1), ``(9, B)``.

    Returns:
        ``(B, 2, 3)``; a scale factor below one magnifies the image.
    """
    flip, signed = draws[0], draws[1:8] * 2 - 1
    angle = torch.deg2rad(signed[0] * config.rotation)
    crop_fraction = 1 - draws[8] * config.crop
    extent = crop_fraction / (1 + signed[1] * config.scale)
    mirror = 1 - 2 * (flip < config.flip).to(extent.dtype)
    slant = torch.tan(torch.deg2rad(signed[2] * config.shear))
    cos, sin = angle.cos() * extent, angle.sin() * extent
    # Each axis is two units long.
    shift = 2 * config.translate * signed[3:5] + (1 - crop_fraction) * signed[5:7]
    rows = [cos * mirror, cos * slant - sin, shift[0], sin * mirror, sin * slant + cos, shift[1]]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def warp(pixels: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Warp images by affine maps with bilinear sampling; border pixels are repeated outside the image.

    Args:
        pixels: float ``(B, C, H, W)``.
        matrices: ``(B, 2, 3)``, from output to input coordinates.
        size: Side of the result, in pixels.

    Returns:
        float ``(B, C, size, size)`` within the range of the input.
    """
    centers = (torch.arange(size, device=pixels.device) * 2 + 1) / size - 1
    along_x = matrices[:, :, 0, None] * centers + matrices[:, :, 2, None]
    along_y = matrices[:, :, 1, None] * centers
    # Same result as F.affine_grid, whose batched product with K = 3 takes longer than the sampling.
    grid = along_y.transpose(1, 2)[:, :, None] + along_x.transpose(1, 2)[:, None]
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def adjust_brightness_contrast(pixels: Tensor, config: AugmentationConfig, draws: Tensor) -> Tensor:
    """Change brightness and contrast in place; ``draws`` are uniform numbers in [0, 1), ``(2, B)``."""
    signed = (draws * 2 - 1).view(2, -1, 1, 1, 1)
    factor = 1 + signed[1] * config.contrast
    offset = _image_mean(pixels) * (1 - factor) + signed[0] * config.brightness
    return pixels.mul_(factor).add_(offset).clamp_(0, 1)


def erase(pixels: Tensor, config: AugmentationConfig, draws: Tensor) -> Tensor:
    """Fill a rectangle of some images with their mean (random erasing, https://arxiv.org/abs/1708.04896).

    Args:
        pixels: float ``(B, C, S, S)``.
        config: Probability and area; sides are rounded to integer pixels.
        draws: Uniform numbers in [0, 1), ``(5, B)``.

    Returns:
        float ``(B, C, S, S)``.
    """
    side = pixels.shape[-1]
    area = config.erase_min + draws[1] * (config.erase_max - config.erase_min)
    height = (area.sqrt() * MAX_ASPECT ** (draws[2] - 0.5)).clamp(max=1.0)
    width = (area / height.clamp(min=1e-6)).clamp(max=1.0)
    width = width * (draws[0] < config.erase)
    rows, columns = _interval_mask(height, draws[3], side), _interval_mask(width, draws[4], side)
    inside = rows[:, None, :, None] * columns[:, None, None, :]
    # Exact for weights 0 and 1, and faster than torch.where.
    return pixels.lerp(_image_mean(pixels), inside)


def degrade(pixels: Tensor, config: AugmentationConfig, generator: torch.Generator | None = None) -> Tensor:
    """Blur half of the images and add noise to half of them, each with its own strength.

    Args:
        pixels: float ``(B, C, S, S)`` in [0, 1].
        config: Maximum strengths, ``blur`` and ``noise``.
        generator: Random generator on the device of the images.

    Returns:
        float ``(B, C, S, S)`` in [0, 1].
    """
    draws = torch.rand(2, len(pixels), generator=generator, device=pixels.device)
    strengths = (2 * draws - 1).clamp(min=0)
    if config.blur:
        largest = config.blur * pixels.shape[-1]
        # The radius does not depend on the draws, for which a GPU would have to be waited for.
        pixels = _blur(pixels, strengths[0] * largest, radius=max(1, math.ceil(2.5 * largest)))
    if config.noise:
        noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
        pixels = (pixels + noise * (strengths[1] * config.noise).view(-1, 1, 1, 1)).clamp_(0, 1)
    return pixels


def _blur(pixels: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each image ``(B, C, S, S)`` with its own standard deviation in pixels, ``(B,)``."""
    batch, channels, side, _ = pixels.shape
    cells = torch.arange(-radius, radius + 1, device=pixels.device)
    kernels = (-0.5 * (cells / sigma.clamp(min=0.1)[:, None]) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    rows = F.pad(pixels.view(1, -1, side, side), (radius,) * 4, mode="replicate")
    along_x = F.conv2d(rows, kernels[:, None, None, :], groups=batch * channels)
    return F.conv2d(along_x, kernels[:, None, :, None], groups=batch * channels).view(pixels.shape)


def _interval_mask(fraction: Tensor, position: Tensor, side: int) -> Tensor:
    """Return a mask of 0 and 1, ``(B, side)``, over ``fraction`` of the cells, starting by ``position``."""
    length = (fraction * side).round()
    start = (position * (side - length + 1)).floor()
    cells = torch.arange(side, device=fraction.device)
    inside = (cells >= start[:, None]) & (cells < (start + length)[:, None])
    return inside.to(fraction.dtype)


def _image_mean(pixels: Tensor) -> Tensor:
    """Return the mean over channels and pixels, ``(B, 1, 1, 1)``."""
    return pixels.mean(dim=(1, 2, 3), keepdim=True)
