"""Benchmark of metrics with bootstrap intervals, compared with a loop over resamples with scikit-learn.

    uv run python scripts/benchmark_scores.py [--images 3589] [--resamples 2000] [--loop-resamples 20]

Prints the CPU seconds of both on one core. The loop takes a few resamples, and its time is extrapolated. It
computes the same metrics as far as scikit-learn has them: metrics of the confusion matrix, log loss and Brier
score. AUROC is timed separately on both sides.
"""

import os

# One core for both; must be set before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time

import numpy as np
from sklearn import metrics

from fer.analysis.metrics.calibration import probability_estimates
from fer.analysis.metrics.classification import auroc_estimates, count_estimates
from fer.core.labels import FER7

# Class frequencies of FER2013's PublicTest.
FREQUENCIES = (0.13, 0.016, 0.138, 0.249, 0.182, 0.116, 0.169)


def draw_predictions(n):
    """Return random targets and probabilities with an accuracy of about 60 %."""
    rng = np.random.default_rng(0)
    target = rng.choice(7, n, p=FREQUENCIES)
    logits = rng.normal(size=(n, 7)) + 1.6 * np.eye(7)[target]
    exponentials = np.exp(logits)
    return target, exponentials / exponentials.sum(1, keepdims=True)


def sklearn_scores(target, probs):
    preds = probs.argmax(1)
    metrics.accuracy_score(target, preds)
    metrics.balanced_accuracy_score(target, preds)
    metrics.precision_recall_fscore_support(target, preds, labels=range(7), zero_division=0)
    for average in ("macro", "weighted"):
        metrics.f1_score(target, preds, average=average)
    metrics.cohen_kappa_score(target, preds)
    metrics.top_k_accuracy_score(target, probs, k=2, labels=range(7))
    metrics.log_loss(target, probs, labels=range(7))
    metrics.brier_score_loss(target, probs, labels=range(7))


def sklearn_auroc(target, probs):
    metrics.roc_auc_score(target, probs, multi_class="ovr")


def time_loop(target, probs, resamples, scores):
    """Return the seconds of a loop that draws each resample, stratified by emotion, and scores it."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(target == k) for k in range(7)]
    start = time.process_time()
    for _ in range(resamples):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        scores(target[rows], probs[rows])
    return time.process_time() - start


def timed(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=3589)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--loop-resamples", type=int, default=20)
    options = parser.parse_args()
    target, probs = draw_predictions(options.images)
    sklearn_scores(target, probs)  # loads lazily imported modules
    rng = np.random.default_rng(0)
    counts = timed(count_estimates, target, probs, FER7.names, options.resamples, rng)
    sums = timed(probability_estimates, target, probs, options.resamples, rng)
    scale = options.resamples / options.loop_resamples
    plain = scale * time_loop(target, probs, options.loop_resamples, sklearn_scores)
    ranks = scale * time_loop(target, probs, options.loop_resamples, sklearn_auroc)
    area = timed(auroc_estimates, target, probs, FER7.names)
    print(f"{options.images:,} images, {options.resamples:,} resamples, one core")
    print(f"metrics of the confusion matrix{counts:8.2f} s")
    print(f"log loss, Brier, both ECE      {sums:8.2f} s")
    print(f"together                       {counts + sums:8.2f} s")
    print(f"scikit-learn, without ECE      {plain:8.2f} s, {plain / (counts + sums):.0f} times as long")
    print(f"AUROC by DeLong                {area:8.2f} s")
    print(f"AUROC by scikit-learn          {ranks:8.2f} s")


if __name__ == "__main__":
    main()
