"""Score a run: its predictions for images, with all that a reader must know of both."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.scoring.inference import Outputs, infer
from fer.scoring.runs import TrainedRun
from fer.scoring.subject import Subject

_DEFAULT_BATCH = 512


@dataclass(frozen=True)
class Scored:
    """Predictions, and the same without test-time augmentation where that was used (else ``None``)."""

    predictions: Predictions
    plain: Predictions | None


def score(run: TrainedRun, subject: Subject, about: Mapping[str, Any], tta: str | None = None) -> Scored:
    """Run a model over images.

    Args:
        run: The model.
        subject: The images.
        about: What `fer.scoring.trace.trace` says of the images and the training.
        tta: See `fer.scoring.inference.infer`.

    Raises:
        FerError: Pictures cannot be read, there is no such augmentation, or the model says NaN.
    """
    config = run.trained.config
    batch_size = config["datamodule"].get("eval_batch_size", _DEFAULT_BATCH)
    start = time.perf_counter()
    outputs = infer(run.trained.model, subject.data, config["model"]["image_size"], batch_size, tta)
    _check_finite(outputs.logits, run)
    seconds = {"seconds": round(time.perf_counter() - start, 3)}
    plain = _predictions(run, subject, outputs, {**about, **seconds})
    if outputs.tta_probs is None:
        return Scored(plain, None)
    return Scored(average([outputs.tta_probs], plain, {"tta": tta}), plain)


def _check_finite(logits: np.ndarray, run: TrainedRun) -> None:
    """Refuse what is no answer; the largest of NaN would pass for the first emotion."""
    if num_bad := int((~np.isfinite(logits)).any(1).sum()):
        raise FerError(
            f"{run.path}: expected numbers from the model, got NaN or infinity for {num_bad:,} of "
            f"{len(logits):,} images. Its training went astray: take an earlier checkpoint, or train anew."
        )


def average(probs: list[np.ndarray], base: Predictions, about: Mapping[str, Any]) -> Predictions:
    """Return ``base`` with the mean of these probabilities ``(N, K)`` in place of its own."""
    mean: np.ndarray = np.asarray(np.mean(probs, axis=0, dtype=np.float64))
    logits = np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
    return replace(base, probs=mean.astype(np.float32), logits=logits, about={**base.about, **about})


def _predictions(
    run: TrainedRun, subject: Subject, outputs: Outputs, about: Mapping[str, Any]
) -> Predictions:
    kept = outputs.kept
    return Predictions(
        labels=run.trained.labels,
        index=subject.index[kept],
        target=subject.target[kept],
        logits=outputs.logits,
        probs=softmax(outputs.logits),
        votes=None if subject.votes is None else subject.votes[kept],
        source=subject.sources()[kept],
        about={**_about_run(run), **about},
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities float32 ``(N, K)``."""
    powers = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def _about_run(run: TrainedRun) -> dict[str, Any]:
    model = run.trained.config["model"]
    return {
        "run": run.name,
        "model": model["name"],
        "image_size": model["image_size"],
        "parameters": sum(weights.numel() for weights in run.trained.model.parameters()),
        "checkpoint": str(run.path),
        "epoch": run.trained.epoch,
        "seed": run.seed,
        "model_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "trained_on": run.trained.manifest,
        "init_from": run.trained.init_from,
        "tta": None,
        "temperature": None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
