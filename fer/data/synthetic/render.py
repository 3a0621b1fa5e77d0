"""Render one synthetic face: paint it in flat colors, apply the light, then the effects of a camera."""

import math

import cv2
import numpy as np

from fer.data.synthetic import painting
from fer.data.synthetic.geometry import FaceGeometry, locate_face
from fer.data.synthetic.parameters import FaceParameters

# Smaller images are painted at this size and averaged down.
_MIN_CANVAS = 96
# Half axes of the head's dome, in half face widths.
_DOME_X, _DOME_Y = 1.13, 1.62


def render_face(p: FaceParameters, size: int, color: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Render a face.

    Args:
        p: Parameters of the face.
        size: Side of the image in pixels; below 16 no face can be recognized.
        color: RGB if true, else gray (ITU-R BT.601 luma).

    Returns:
        The image, uint8 (size, size, 3 or 1), and the true positions of five landmarks, float (5, 2), as x
        and y in pixels with pixel centers at integers: left eye, right eye, nose tip, left and right
        mouth corner. Left and right are the viewer's (the order of MTCNN, ArcFace and YuNet).
    """
    canvas_size = max(2 * size, _MIN_CANVAS)
    face = locate_face(p, canvas_size)
    rng = np.random.default_rng(p.texture_seed)
    canvas = painting.paint_background(canvas_size, rng)
    painting.paint_person(canvas, p, face, rng)
    # Light is smooth, so it is computed at the final size, at a quarter of the cost or less.
    image = _apply_lighting(canvas, p, face, size)
    factor = size / canvas_size
    if p.occluder != "none":
        painting.paint_occluder(image, p, (face.center + 0.5) * factor - 0.5, face.unit * factor, rng)
    if not color:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return _apply_camera(p, image, rng), (face.landmarks + 0.5) * factor - 0.5


def _apply_lighting(canvas: np.ndarray, p: FaceParameters, face: FaceGeometry, size: int) -> np.ndarray:
    """Average the canvas down, and apply the light to the head."""
    image, mask = (
        cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)
        for full in (canvas, painting.head_mask(face, len(canvas)))
    )
    step = np.float32(len(canvas) / size)
    factor, gloss = _shade(p, face, (np.arange(size, dtype=np.float32) + 0.5) * step - 0.5)
    alpha = mask[..., None] * np.float32(1 / 255)
    lit = image * (1 + alpha * (factor - 1)) + 34 * alpha * gloss[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)


def _apply_camera(p: FaceParameters, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply blur, contrast, brightness and sensor noise."""
    pixels: np.ndarray = image.astype(np.float32)
    if p.blur > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), p.blur * len(image)).reshape(image.shape)
    pixels = (pixels - 127.5) * p.contrast + 127.5 * (1 + 2 * p.brightness)
    if p.noise > 0:
        pixels = pixels + p.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _shade(p: FaceParameters, face: FaceGeometry, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the light on a face at the coordinates ``grid`` (S,), float32, in pixels along both axes.

    Returns:
        Factors for the colors, float32 (S, S, 3), and gloss in [0, 1], (S, S).
    """
    centers, (radii, height, dark, red) = face.curves["bumps"], face.bumps.T.astype(np.float32)
    row, row_slope = _gaussians(centers[:, 0], radii * np.float32(face.unit), grid)
    column, column_slope = _gaussians(centers[:, 1], radii * np.float32(face.unit), grid)
    lift = (height * face.unit)[:, None].astype(np.float32)
    dome_x, dome_y = _dome_slope(p, face, grid)
    slope_x = dome_x - column.T @ (lift * row_slope)
    slope_y = dome_y - column_slope.T @ (lift * row)
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    light = _light_direction(p).astype(np.float32)
    lit = (slope_x * light[0] + slope_y * light[1] + light[2]) * facing
    # Wrapped diffuse shading: 1 on a surface that faces the viewer.
    frontal_light = ((max(float(light[2]), 0.0) + 0.3) / 1.3) ** 0.7
    amount = 1 - p.light_strength + p.light_strength * np.maximum((lit + 0.3) / 1.3, 0) / frontal_light
    amount = amount * (0.8 + 0.2 * facing)
    occlusion = np.maximum(1 - column.T @ (dark[:, None] * row), 0.3)
    redness = column.T @ (red[:, None] * row)
    half_way = light + np.array([0, 0, 1], np.float32)
    half_way /= np.linalg.norm(half_way)
    gloss = np.maximum((slope_x * half_way[0] + slope_y * half_way[1] + half_way[2]) * facing, 0)
    # To the 16th power, for a broad highlight. Squaring is much cheaper than np.power.
    for _ in range(4):
        gloss = gloss * gloss
    return _tint(p, amount * occlusion, redness), gloss * p.light_strength


def _light_direction(p: FaceParameters) -> np.ndarray:
    """Return the unit vector towards the light; x right, y down, z to the viewer."""
    azimuth, elevation = np.radians([p.light_azimuth, p.light_elevation])
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )


def _gaussians(centers: np.ndarray, radii: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussians (N, size) along one axis, and their slopes in 1 / pixel."""
    radii = radii[:, None]
    offset = (grid - centers.astype(np.float32)[:, None]) / radii
    gaussian = np.exp(-0.5 * offset * offset)
    return gaussian, -offset / radii * gaussian


def _dome_slope(p: FaceParameters, face: FaceGeometry, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slope of the head without relief; its edge is rounder than an ellipsoid's."""
    cos, sin = math.cos(math.radians(p.roll)), math.sin(math.radians(p.roll))
    across = ((grid - face.center[0]) / face.unit).astype(np.float32)[None]
    down = ((grid - face.center[1]) / face.unit).astype(np.float32)[:, None]
    u = (across * cos + down * sin) / _DOME_X
    v = (down * cos - across * sin + 0.05) / _DOME_Y
    r2 = u * u + v * v
    steep = (0.35 + 0.65 * r2) / np.sqrt(np.maximum(1 - r2, 0.12))
    u, v = u * steep / _DOME_X, v * steep / _DOME_Y
    return u * cos - v * sin, u * sin + v * cos


def _tint(p: FaceParameters, amount: np.ndarray, redness: np.ndarray) -> np.ndarray:
    """Return factors for red, green and blue, (S, S, 3): warm shadows, redder skin, and the light's color."""
    shadow = 1 - amount
    red = amount + 0.1 * shadow
    green = amount * (1 - 0.3 * redness)
    blue = (amount - 0.05 * shadow) * (1 - 0.25 * redness)
    warm = 0.06 * p.light_warmth
    return np.stack([red * (1 + warm), green, blue * (1 - 1.6 * warm)], 2)
