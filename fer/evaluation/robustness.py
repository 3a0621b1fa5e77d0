"""Measure a model on corrupted images: accuracy and calibration error, with intervals.

The images are read once. All corruptions and strengths see the same images and share the bootstrap resamples,
so that means over conditions and losses of accuracy have intervals of their own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer.analysis.metrics.calibration import (
    NUM_BINS,
    bin_gaps,
    confidence_and_correct,
    ece_interval,
    equal_mass_bins,
)
from fer.analysis.metrics.classification import RESAMPLES
from fer.analysis.metrics.estimate import Estimate, estimate_from_resamples
from fer.analysis.metrics.intervals import resample_means
from fer.analysis.predictions import Images, Predictions
from fer.core.errors import FerError
from fer.core.text import counted, duration
from fer.evaluation.close_ups import CloseUps
from fer.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt

# A corruption and a strength
Condition = tuple[str, int]
CONDITIONS: tuple[Condition, ...] = tuple((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)
# The images themselves
CLEAN: Condition = ("clean", 0)
# Images that are in memory at a time, before and after a corruption; close-ups have up to 50 megapixels
_CHUNK, _CHUNK_OF_CLOSE_UPS = 1024, 16
# Images that are timed for the stated cost
_NUM_TIMED = 64


@dataclass(frozen=True)
class CorruptionOptions:
    """What to measure.

    Attributes:
        images: Largest number of images, drawn at random; ``None``: all.
        seed: Seed of the corruptions and of the drawn images.
    """

    images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `FerError` for numbers out of range."""
        if self.images is not None and self.images < 1:
            raise FerError(f"--corruption-images: expected 1 or more, got {self.images}.")
        if self.seed < 0:
            raise FerError(f"--corruption-seed: expected 0 or more, got {self.seed}.")


def choose_options(corruptions: bool, images: int | None, seed: int | None) -> CorruptionOptions | None:
    """Return what to measure, as the options of fer-evaluate say; ``None`` if it was not requested.

    Raises:
        FerError: The others are given without ``corruptions``, or out of range.
    """
    if corruptions:
        return CorruptionOptions(images, seed or 0)
    for name, value in (("--corruption-images", images), ("--corruption-seed", seed)):
        if value is not None:
            raise FerError(f"{name} {value}: expected --corruptions with it, got none. Add --corruptions.")
    return None


@dataclass(frozen=True)
class Robustness:
    """Accuracy and ECE on clean and corrupted images.

    Attributes:
        options: What was measured.
        total: Number of images of the split.
        accuracy: Condition -> estimate; `CLEAN` and all of `CONDITIONS`.
        ece: As `accuracy`: bins of equal mass, uncalibrated.
        mean_accuracy: Mean over conditions: of all (``mean``), of a corruption (its name) or of a strength
            (its number).
        mean_ece: As `mean_accuracy`.
        loss: As `mean_accuracy`: the lost fraction of the accuracy on the clean images.
    """

    options: CorruptionOptions
    total: int
    accuracy: dict[Condition, Estimate]
    ece: dict[Condition, Estimate]
    mean_accuracy: dict[str, Estimate]
    mean_ece: dict[str, Estimate]
    loss: dict[str, Estimate]

    @property
    def n(self) -> int:
        """Number of images."""
        return self.accuracy[CLEAN].n


def measure_robustness(
    predictions: Predictions,
    images: Images | CloseUps,
    predict: Callable[[np.ndarray], np.ndarray],
    options: CorruptionOptions,
    face: float = 1.0,
) -> Robustness:
    """Score a model on corrupted images, after stating the cost.

    Args:
        predictions: For the clean images, without test-time augmentation.
        images: Of the predictions, in their order; on disk or in memory, or close-ups.
        predict: Probabilities ``(n, K)`` of the model for images, uint8 ``(n, H, W, C)``.
        options: Number of images, and seed.
        face: As for `fer.evaluation.corruptions.corrupt`.
    """
    total = len(predictions)
    rows = np.arange(total)
    if options.images is not None and options.images < total:
        rows = np.sort(np.random.default_rng(options.seed).permutation(total)[: options.images])
    corrupted = _corrupted_probs(predictions, images, rows, predict, options.seed, face)
    scores = _Scores(predictions.target[rows], {CLEAN: predictions.probs[rows], **corrupted})
    groups = {"mean": list(CONDITIONS)}
    groups |= {name: [one for one in CONDITIONS if one[0] == name] for name in CORRUPTIONS}
    groups |= {str(strength): [one for one in CONDITIONS if one[1] == strength] for strength in STRENGTHS}
    conditions = (CLEAN, *CONDITIONS)
    return Robustness(
        options,
        total,
        accuracy={condition: scores.accuracy([condition]) for condition in conditions},
        ece={condition: scores.ece([condition]) for condition in conditions},
        mean_accuracy={key: scores.accuracy(members) for key, members in groups.items()},
        mean_ece={key: scores.ece(members) for key, members in groups.items()},
        loss={key: scores.loss(members) for key, members in groups.items()},
    )


def _corrupted_probs(
    predictions: Predictions,
    images: Images | CloseUps,
    rows: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    seed: int,
    face: float,
) -> dict[Condition, np.ndarray]:
    """Return the probabilities ``(n, K)`` of the images at ``rows`` under each condition."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    chunk_size = _CHUNK_OF_CLOSE_UPS if isinstance(images, CloseUps) else _CHUNK
    console.print(_cost(images[rows[: min(_NUM_TIMED, chunk_size)]], predict, len(rows)))
    columns = (TextColumn("corruptions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    parts: dict[Condition, list[np.ndarray]] = {condition: [] for condition in CONDITIONS}
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(rows) * len(CONDITIONS))
        for start in range(0, len(rows), chunk_size):
            chunk = rows[start : start + chunk_size]
            clean, keys = images[chunk], predictions.index[chunk]
            for name, strength in CONDITIONS:
                parts[name, strength].append(predict(corrupt(clean, name, strength, keys, seed, face)))
                progress.advance(task, len(chunk))
    return {condition: np.concatenate(part) for condition, part in parts.items()}


def _cost(some: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], count: int) -> str:
    """Return the expected duration for ``count`` images, from the time that some take, ``(n, H, W, C)``."""
    start = time.perf_counter()
    for name in CORRUPTIONS:
        predict(corrupt(some, name, STRENGTHS[-1] // 2 + 1, range(len(some))))
    seconds = (time.perf_counter() - start) * len(STRENGTHS) * count / len(some)
    return (
        f"Corruptions: {len(CORRUPTIONS)} at {len(STRENGTHS)} strengths, {len(CONDITIONS)} passes over "
        f"{counted(count, 'image')}, about {duration(seconds)}. --corruption-images N takes fewer images."
    )


class _Scores:
    """Scores of conditions and of means over conditions, from one bootstrap over the images.

    Args:
        target: int64 ``(N,)``.
        probs: Condition -> ``(N, K)``.
    """

    def __init__(self, target: np.ndarray, probs: Mapping[Condition, np.ndarray]) -> None:
        self._n, numbers = len(target), np.arange(NUM_BINS)
        self._hits: dict[Condition, int] = {}
        self._gaps: dict[Condition, np.ndarray] = {}
        columns = []
        for condition, values in probs.items():
            confidence, correct = confidence_and_correct(values.astype(np.float64), target)
            bins = equal_mass_bins(confidence)
            self._hits[condition] = int(correct.sum())
            self._gaps[condition] = bin_gaps(confidence, correct, bins)
            # Confidence minus correctness in the column of each image's bin, as in `probability_estimates`
            in_bins = np.where(numbers == bins[:, None], (confidence - correct)[:, None], 0.0)
            columns.append(np.column_stack([correct, in_bins]).astype(np.float32))
        draws = resample_means(np.column_stack(columns), target, RESAMPLES, np.random.default_rng([0, 4]))
        self._draws = dict(zip(probs, np.split(draws, len(probs), axis=1), strict=True))

    def accuracy(self, members: Sequence[Condition]) -> Estimate:
        """Return the mean accuracy over conditions."""
        hits = (self._hits[members[0]], self._n) if len(members) == 1 else None
        return estimate_from_resamples(*self._mean_accuracy(members), self._n, hits=hits)

    def ece(self, members: Sequence[Condition]) -> Estimate:
        """Return the mean calibration error over conditions."""
        gaps = np.concatenate([self._gaps[one] for one in members]) / len(members)
        draws = np.concatenate([self._draws[one][:, 1:] for one in members], axis=1) / len(members)
        value = float(np.abs(gaps).sum())
        return Estimate(value, *ece_interval(value, gaps, draws), self._n)

    def loss(self, members: Sequence[Condition]) -> Estimate:
        """Return the fraction of the clean accuracy that is lost in the mean over conditions."""
        clean, clean_draws = self._mean_accuracy([CLEAN])
        value, draws = self._mean_accuracy(members)
        if not clean:
            return Estimate(None, None, None, self._n, "no image is classified correctly without corruption")
        return estimate_from_resamples(
            1 - value / clean, 1 - draws / np.where(clean_draws > 0, clean_draws, np.nan), self._n
        )

    def _mean_accuracy(self, members: Sequence[Condition]) -> tuple[float, np.ndarray]:
        """Return the value, and that of each resample, ``(R,)``."""
        value = sum(self._hits[one] for one in members) / (self._n * len(members))
        return value, np.mean([self._draws[one][:, 0] for one in members], axis=0)
