"""How fast scores with bootstrap intervals are, against a plain loop over resampled rows with scikit-learn.

    uv run python scripts/benchmark_scores.py [--images 3589] [--resamples 2000] [--loop-resamples 20]

Prints processor seconds of each on one core, from the same run. The loop takes a few resamples and is
scaled up; it computes what it can of the same scores: those of counts, log loss and Brier.
AUROC is apart on both sides.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads: one core for both

import argparse
import time

import numpy as np
from sklearn import metrics

from fer.analysis.auroc import auroc_estimates
from fer.analysis.count_scores import count_estimates
from fer.analysis.probability_scores import probability_estimates
from fer.labels import FER7

SHARES = (0.13, 0.016, 0.138, 0.249, 0.182, 0.116, 0.169)  # of the emotions in FER2013's PublicTest


def draw_predictions(n):
    """Return targets and probabilities that are right about six times in ten."""
    rng = np.random.default_rng(0)
    target = rng.choice(7, n, p=SHARES)
    logits = rng.normal(size=(n, 7)) + 1.6 * np.eye(7)[target]
    powers = np.exp(logits)
    return target, powers / powers.sum(1, keepdims=True)


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


def loop(target, probs, resamples, scores):
    """Return seconds of resampling rows within each emotion and scoring them anew, resample by resample."""
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
    words = parser.parse_args()
    target, probs = draw_predictions(words.images)
    sklearn_scores(target, probs)  # lazily imported parts are loaded once
    rng = np.random.default_rng(0)
    counts = timed(count_estimates, target, probs, FER7.names, words.resamples, rng)
    sums = timed(probability_estimates, target, probs, words.resamples, rng)
    scale = words.resamples / words.loop_resamples
    plain = scale * loop(target, probs, words.loop_resamples, sklearn_scores)
    ranks = scale * loop(target, probs, words.loop_resamples, sklearn_auroc)
    area = timed(auroc_estimates, target, probs, FER7.names)
    print(f"{words.images:,} images, {words.resamples:,} resamples, one core")
    print(f"scores of counts               {counts:8.2f} s")
    print(f"log loss, Brier, both ECE      {sums:8.2f} s")
    print(f"together                       {counts + sums:8.2f} s")
    print(f"scikit-learn, without ECE      {plain:8.2f} s, {plain / (counts + sums):.0f} times as long")
    print(f"AUROC by DeLong                {area:8.2f} s")
    print(f"AUROC by scikit-learn          {ranks:8.2f} s")


if __name__ == "__main__":
    main()
