"""Config of the augmentation, the group ``augmentation``."""

from operator import not_
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from fer.core.config import Fraction, Number, Open
from fer.core.errors import FerError
from fer.core.registry import AUGMENTATIONS, Registry


class AugmentationConfig(Open):
    """Augmentation strengths. All ranges are symmetric and uniform; zeros, the default, change nothing.

    The config of a registered augmentation has a ``name`` and its options beside these strengths.

    Attributes:
        flip: Probability of a mirror image.
        rotation: Maximum rotation in either direction, in degrees.
        scale: Maximum relative zoom in or out: the factor is in [1 - scale, 1 + scale].
        translate: Maximum shift along each axis, as a fraction of the side.
        shear: Maximum horizontal shear in either direction, in degrees.
        crop: Maximum fraction of the side that a random square crop removes.
        brightness: Maximum shift of all pixel values, for images in [0, 1].
        contrast: Maximum relative change of contrast around the image mean.
        erase: Probability that one rectangle is filled with the image mean.
        erase_min: Minimum erased fraction of the image area, at most ``erase_max``.
        erase_max: Maximum erased fraction of the image area.
        blur: Maximum standard deviation of a Gaussian blur, as a fraction of the side. Half of the images
            stay sharp.
        noise: Maximum standard deviation of Gaussian noise, for images in [0, 1]. Half of the images have
            none.
    """

    key: ClassVar[str] = "augmentation"
    registry: ClassVar[Registry] = AUGMENTATIONS
    flip: Fraction = 0.0
    rotation: Annotated[Number, Field(ge=0, le=180)] = 0.0
    scale: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    translate: Fraction = 0.0
    shear: Annotated[Number, Field(ge=0, lt=90)] = 0.0
    crop: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    erase: Fraction = 0.0
    erase_min: Fraction = 0.0
    erase_max: Fraction = 0.0
    # Not stored where they are not used, so that recipes of older versions are the same.
    blur: Annotated[Number, Field(ge=0, le=0.2, exclude_if=not_)] = 0.0
    noise: Annotated[Fraction, Field(exclude_if=not_)] = 0.0

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.erase_min > self.erase_max:
            raise FerError(
                f"augmentation.erase_min: expected a number in [0, {self.erase_max:g}], got {self.erase_min}."
            )
        return self

    @property
    def has_geometry(self) -> bool:
        """Whether pixels are moved by more than a resize."""
        return any((self.flip, self.rotation, self.scale, self.translate, self.shear, self.crop))
