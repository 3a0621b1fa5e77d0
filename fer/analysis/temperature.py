"""Temperature scaling: one number that makes a model as sure as it is right.

Guo et al. 2017, https://arxiv.org/abs/1706.04599: probabilities are softmax(logits / T) with the T that makes
the labels of the validation split most likely. No prediction changes, only how sure the model is of it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.intervals import Z95
from fer.analysis.selective import Threshold
from fer.errors import FerError

COOLEST, HOTTEST = (
    0.05,
    20.0,
)  # a T outside fits no model worth calibrating: all right, or no better than chance
FOLDS = 5
FILENAME = "calibration.json"
_FLOOR = -1e4  # of a logit below its row's largest: minus infinity times 0 is no number


@dataclass(frozen=True)
class Calibration:
    """What validation says of a model's confidence; lies beside the checkpoint for export to use.

    Attributes:
        temperature: Divide logits by it, `COOLEST` to `HOTTEST`.
        low: Lower end of its 95 % interval.
        high: Upper end.
        thresholds: Confidence, calibrated, from which on wanted accuracies hold.
        role: Always ``"val"``: nothing is fitted on another split.
        split: The published name of that split.
        n: Its number of images.
        manifest_sha256: Of the manifest of these images, as canonical JSON.
        model_sha256: Of the weights that this is for; None where unknown.
    """

    temperature: float
    low: float
    high: float
    thresholds: tuple[Threshold, ...]
    role: str
    split: str
    n: int
    manifest_sha256: str
    model_sha256: str | None


def fit_temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """Return the temperature of the least negative log-likelihood.

    Newton's method on 1 / T, in which the likelihood is concave, within a bracket that bisection narrows.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``.

    Returns:
        T; `COOLEST` where surer were always better (every image is right), `HOTTEST` where less sure were.
    """
    logits, rows = _finite(logits), np.arange(len(target))
    low, high = 1 / HOTTEST, 1 / COOLEST
    if _slopes(logits, logits[rows, target], low)[0] >= 0:
        return HOTTEST
    if _slopes(logits, logits[rows, target], high)[0] <= 0:
        return COOLEST
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slopes(logits, logits[rows, target], inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) < 1e-10 * inverse:
            break
        inverse = following
    return 1 / inverse


def temperature_interval(logits: np.ndarray, target: np.ndarray, temperature: float) -> tuple[float, float]:
    """Return the 95 % interval of a fitted temperature.

    From the robust ("sandwich") variance of 1 / T, which holds for models that are not of the right shape too
    (White 1982, https://doi.org/10.2307/1912526); cut off at `COOLEST` and `HOTTEST`.
    """
    logits, probs = _finite(logits), scaled_probs(logits, temperature)
    mean = (probs * logits).sum(1)
    slopes = mean - logits[np.arange(len(target)), target]
    curvature = (probs * (logits - mean[:, None]) ** 2).sum()
    half = Z95 * float(np.sqrt((slopes**2).sum()) / max(curvature, np.finfo(float).tiny))
    low, high = (1 / max(1 / HOTTEST, 1 / temperature + sign * half) for sign in (1, -1))
    return max(COOLEST, low), high


def _slopes(logits: np.ndarray, own: np.ndarray, inverse: float) -> tuple[float, float]:
    """Return first and second derivative of the mean negative log-likelihood by 1 / T."""
    probs = scaled_probs(logits, 1 / inverse)
    mean = (probs * logits).sum(1)
    spread = (probs * (logits - mean[:, None]) ** 2).sum(1)
    return float((mean - own).mean()), float(spread.mean())


def scaled_probs(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(logits / temperature), float64 ``(N, K)``."""
    powers = np.exp(_finite(logits) / temperature)
    return powers / powers.sum(1, keepdims=True)


def _finite(logits: np.ndarray) -> np.ndarray:
    """Return logits in float64, the largest of each row 0 (softmax stays the same), none below `_FLOOR`."""
    logits = logits.astype(np.float64)
    if np.isnan(logits).any():
        raise FerError("Calibration: expected logits, got some that are not a number (NaN).")
    return np.maximum(logits - logits.max(1, keepdims=True), _FLOOR)


def cross_fitted_probs(
    logits: np.ndarray, target: np.ndarray, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """Return calibrated probabilities of each image by a temperature that was fitted without it.

    So calibration can be judged on the split that it is fitted on, without flattering it.

    Args:
        logits: ``(N, K)``.
        target: int ``(N,)``, N of `folds` or more.
        folds: Parts that the images are dealt into at random, each emotion evenly.
        seed: Seed of the dealing.

    Returns:
        float64 ``(N, K)``.
    """
    order = np.random.default_rng(seed).permutation(len(target))
    order = order[np.argsort(target[order], kind="stable")]
    fold = np.empty(len(target), np.int64)
    fold[order] = np.arange(len(target)) % folds
    probs = np.empty(logits.shape, np.float64)
    for part in range(folds):
        held, rest = fold == part, fold != part
        probs[held] = scaled_probs(logits[held], fit_temperature(logits[rest], target[rest]))
    return probs


def write_temperature(folder: str | Path, calibration: Calibration) -> Path:
    """Write ``calibration.json`` into the checkpoint's folder, whole or not at all; return its path.

    Raises:
        FerError: It was fitted on another split than validation, or the folder cannot be written.
    """
    path = Path(folder) / FILENAME
    if calibration.role != "val":
        raise FerError(
            f"{path}: a temperature is fitted on the validation split only, got one of {calibration.role}."
        )
    draft = path.with_name(f".{FILENAME}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise FerError(f"{path}: cannot be written ({error}). Free or choose another place.") from error
    return path


def read_temperature(folder: str | Path, model_sha256: str | None = None) -> Calibration | None:
    """Read ``calibration.json`` from the checkpoint's folder.

    Args:
        folder: Where `write_temperature` wrote it.
        model_sha256: The weights that it must be for; None takes any.

    Returns:
        The calibration; None where there is none, or none for these weights (but for ``last.ckpt``, say).

    Raises:
        FerError: The file is damaged or of another kind.
    """
    path = Path(folder) / FILENAME
    if not path.is_file():
        return None
    try:
        found = _from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerError(
            f"{path}: expected the calibration that fer-evaluate RUN --split val writes, but the file is "
            f"damaged ({type(error).__name__}: {error}). Delete it and evaluate again."
        ) from error
    return found if model_sha256 in (None, found.model_sha256) else None


def _from_json(content: Mapping[str, Any]) -> Calibration:
    thresholds = tuple(Threshold(**entry) for entry in content["thresholds"])
    found = Calibration(**{**content, "thresholds": thresholds})
    if not COOLEST <= found.temperature <= HOTTEST:
        raise ValueError(f"a temperature of {found.temperature!r}")
    return found
