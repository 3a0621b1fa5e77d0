"""Image corruptions at five strengths, in the manner of ImageNet-C.

Hendrycks & Dietterich (2019, https://arxiv.org/abs/1903.12261) corrupt test images in 15 ways at five
strengths each, to measure how much of its accuracy a model keeps. Here are seven corruptions that occur in
images of faces. Their parameters are our own, for faces of 48 px: those of the paper are for photographs of
224 px (ImageNet-C) and for images of 32 px without faces (CIFAR-10-C). So scores are comparable only with
other scores of this module.

Blur, low resolution and occlusion take the same details from a face at any size: blur and occlusion scale
with the side of the image, and low resolution is a number of pixels across the face. JPEG compression and
noise act on pixels, as in a camera, so they are weaker on larger images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fer.core.errors import FerError, did_you_mean

# Strengths 1 to 5; strength 0 is the image itself
STRENGTHS = (1, 2, 3, 4, 5)
# Side of the faces that the parameters are for, in pixels
REFERENCE_SIDE = 48
# Exponent between levels and light, and photons of a white pixel at full exposure
_GAMMA, _PHOTONS = 2.2, 2000
# Gray level of an occluded area
_OCCLUSION_LEVEL = 128


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption.

    Attributes:
        title: Display name.
        parameters: Of strengths 1 to 5.
        unit: What the parameters are, as a column of a table says it.
        apply: ``(image, parameter, rng) -> image``, uint8 ``(H, W, C)`` each.
        power: The parameter of an image, a fraction f of which is the face, is multiplied by f to this power.
        is_local: It changes a part of the face, so that only the face is given to it.
    """

    title: str
    parameters: tuple[float, float, float, float, float]
    unit: str
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    power: int = 0
    is_local: bool = False


def corrupt(
    images: np.ndarray,
    name: str,
    strength: int,
    rows: Sequence[int] | np.ndarray,
    seed: int = 0,
    face: float = 1.0,
) -> np.ndarray:
    """Return corrupted images.

    The random numbers of an image depend on the seed, the corruption and the row alone. So the result is the
    same in batches of any size, and a stronger noise, rotation or occlusion of an image is the weaker one,
    intensified: the same noise, the same direction, the same place.

    Args:
        images: uint8 ``(N, H, W, C)``, C 1 or 3 (RGB), of any size; or ``(N,)`` of such images.
        name: One of `CORRUPTIONS`.
        strength: 0 to 5; 0 changes nothing.
        rows: Row of each image in its data set, ``(N,)``, not negative.
        seed: Not negative.
        face: Fraction of the side that the face takes, in (0, 1]; it is in the centre.

    Returns:
        A new array of the same shape and type.

    Raises:
        FerError: The corruption or the strength is unknown.
    """
    if name not in CORRUPTIONS:
        suggestion = did_you_mean(name, CORRUPTIONS)
        raise FerError(f"corruption: expected one of {', '.join(CORRUPTIONS)}, got {name}.{suggestion}")
    if strength not in (0, *STRENGTHS):
        raise FerError(f"strength: expected 0 to {STRENGTHS[-1]}, got {strength}.")
    if not strength:
        return images.copy()
    corruption, kind = CORRUPTIONS[name], list(CORRUPTIONS).index(name)
    parameter = corruption.parameters[strength - 1] * face**corruption.power
    changed = np.empty_like(images)
    for i, row in enumerate(rows):
        rng = np.random.default_rng([seed, kind, int(row)])
        image = images[i]
        part = _center(image, face) if corruption.is_local else image
        # OpenCV drops the axis of a single channel
        result = corruption.apply(part, parameter, rng).reshape(part.shape)
        if part is not image:
            whole = image.copy()
            _center(whole, face)[:] = result
            result = whole
        changed[i] = result
    return changed


def _center(image: np.ndarray, fraction: float) -> np.ndarray:
    """Return a view of the centre of an image, a fraction of its height and width."""
    sides = [max(1, round(fraction * side)) for side in image.shape[:2]]
    top, left = [(side - n) // 2 for side, n in zip(image.shape[:2], sides, strict=True)]
    return image[top : top + sides[0], left : left + sides[1]]


def darken(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply all levels by a factor, with the shot noise of a sensor that receives as little light.

    Without noise, a model that normalises its input loses nothing. The number of photons of a pixel has a
    Poisson distribution, with a mean in proportion to the light; levels are light to the power 1 / `_GAMMA`.
    """
    photons = rng.poisson(_PHOTONS * (factor / 255 * image.astype(np.float64)) ** _GAMMA)
    levels = 255 * (photons / _PHOTONS) ** (1 / _GAMMA)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def blur(image: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of a standard deviation in pixels of a 48 px face."""
    if sigma == 0:
        return image
    return cv2.GaussianBlur(image, (0, 0), sigma * min(image.shape[:2]) / REFERENCE_SIDE)


def compress(image: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    """Compress as JPEG of a quality from 1 to 100, and decode."""
    is_color = image.shape[2] == 3
    # OpenCV expects BGR
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if is_color else image
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB if is_color else cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    return decoded


def add_noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise to each pixel and channel; the standard deviation is a fraction of 255."""
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + 255 * deviation * noise), 0, 255).astype(np.uint8)


def reduce_resolution(image: np.ndarray, side: float, _: np.random.Generator) -> np.ndarray:
    """Shrink to a side in pixels by averaging areas, and enlarge bilinearly; smaller images are kept."""
    height, width = image.shape[:2]
    factor = side / min(height, width)
    if factor >= 1:
        return image
    small = (round(factor * width), round(factor * height))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)


def rotate(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate around the centre, half of the images to the left; edge pixels are repeated beyond the edge."""
    height, width = image.shape[:2]
    angle = degrees if rng.random() < 0.5 else -degrees
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def occlude(image: np.ndarray, area: float, rng: np.random.Generator) -> np.ndarray:
    """Cover a fraction of the area with a mid-gray rectangle of the shape of the image, anywhere in it."""
    covered = image.copy()
    lengths = [round(area**0.5 * side) for side in image.shape[:2]]
    # A place is a fraction of the free space, so a larger rectangle contains a smaller one
    starts = [round(rng.random() * (side - n)) for side, n in zip(image.shape[:2], lengths, strict=True)]
    top, left = starts
    covered[top : top + lengths[0], left : left + lengths[1]] = _OCCLUSION_LEVEL
    return covered


# Append only: the place in this table is part of the seed
CORRUPTIONS = {
    "darkness": Corruption("Darkness", (0.7, 0.5, 0.35, 0.25, 0.15), "factor of the levels", darken),
    "blur": Corruption("Blur", (0.6, 0.9, 1.3, 1.8, 2.4), "sigma, px at 48 px", blur, power=1),
    "jpeg": Corruption("JPEG", (50, 30, 18, 11, 7), "quality", compress),
    "noise": Corruption("Noise", (0.03, 0.06, 0.1, 0.15, 0.22), "sigma, of 255", add_noise),
    "low_resolution": Corruption(
        "Low resolution", (32, 24, 16, 12, 8), "side, px", reduce_resolution, power=-1
    ),
    "rotation": Corruption("Rotation", (10, 20, 30, 45, 60), "degrees", rotate),
    "occlusion": Corruption("Occlusion", (0.05, 0.1, 0.2, 0.3, 0.4), "covered area", occlude, is_local=True),
}
