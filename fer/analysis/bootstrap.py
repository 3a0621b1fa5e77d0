"""Stratified bootstrap of a split: what its figures would be, had other faces of the same emotions come.

Images are drawn with replacement within each true emotion, so the number of images an emotion has is kept.
Intervals run from the 2.5th to the 97.5th percentile of the draws (Efron and Tibshirani 1993, chapter 13,
https://doi.org/10.1201/9780429246593). BCa intervals (chapter 14) were tried on 600 simulated validation
splits of FER2013: accuracy was covered by 95.7 % of the percentile and 95.5 % of the BCa intervals, macro-F1
by 94.0 % of both, and F1 of disgust (56 images) by 92.7 % and 94.3 %. As BCa has no value where the draws
barely differ, which is where images are few, and can leave the measured value outside, percentiles were kept.

No image is drawn one by one. A figure of counts needs only how many images fall into each cell, and these are
multinomial; a mean needs only how often each image was drawn, and is then a matrix product.
"""

from collections.abc import Iterator

import numpy as np

_PORTION, _HELD = 250, 1_000_000  # resamples, and draws of images, that are held at a time: 4 MB


def resample_counts(counts: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw each row of a table of counts anew, as resampling the images within each row would.

    Args:
        counts: int ``(K, M)``: of the images of each true emotion, how many fall into each of M cells.
        resamples: Number of draws R.
        rng: Source of the draws.

    Returns:
        int64 ``(R, K, M)``; rows keep their sums.
    """
    draws = np.zeros((resamples, *counts.shape), np.int64)
    for row, cells in enumerate(counts):
        if total := int(cells.sum()):
            draws[:, row] = rng.multinomial(total, cells / total, size=resamples)
    return draws


def resample_weights(strata: np.ndarray, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield how often each image was drawn, in portions.

    Args:
        strata: int ``(N,)``, 0 and up: the true emotion of each image, within which it is drawn.
        resamples: Number of draws R over all portions.
        rng: Source of the draws.

    Yields:
        float32 ``(r, N)``, whole numbers, with r adding up to R.
    """
    members = [rows for k in range(int(strata.max()) + 1) if len(rows := np.flatnonzero(strata == k))]
    most = min(_PORTION, max(1, _HELD // len(strata)))
    for start in range(0, resamples, most):
        portion = min(most, resamples - start)
        weights = np.empty((portion, len(strata)), np.float32)
        for rows in members:
            weights[:, rows] = _draw(portion, len(rows), rng)
        yield weights


def _draw(times: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw as many of ``size`` things as there are; return how often each came, int ``(times, size)``."""
    drawn = rng.integers(0, size, (times, size), dtype=np.int32)
    drawn += (size * np.arange(times, dtype=np.int32))[:, None]
    return np.bincount(drawn.ravel(), minlength=times * size).reshape(times, size)


def resample_means(
    columns: np.ndarray, strata: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean of each column in each resample.

    Args:
        columns: float ``(N, M)``, values of each image.
        strata: int ``(N,)``, as in `resample_weights`.
        resamples: Number of draws R.
        rng: Source of the draws.

    Returns:
        float64 ``(R, M)``.
    """
    centre = columns.mean(0)  # taken off first, so that float32 sums lose nothing that matters
    deviations = (columns - centre).astype(np.float32)
    sums = [weights @ deviations for weights in resample_weights(strata, resamples, rng)]
    return centre + np.concatenate(sums).astype(np.float64) / len(columns)


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of draws ``(R,)``. Draws of NaN (not defined there) are left out.

    The interval is NaN where no draw is defined.
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)
