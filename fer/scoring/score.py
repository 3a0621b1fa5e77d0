"""Score a run on a split; its predictions include where model and images come from."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.scoring.inference import InferenceOutputs, infer
from fer.scoring.runs import TrainedRun
from fer.scoring.subject import EvaluationSplit

_DEFAULT_BATCH_SIZE = 512


@dataclass(frozen=True)
class ScoredRun:
    """Predictions of a run; ``without_tta`` is ``None`` if no test-time augmentation was used."""

    predictions: Predictions
    without_tta: Predictions | None


def score(
    run: TrainedRun, split: EvaluationSplit, about: Mapping[str, Any], tta: str | None = None
) -> ScoredRun:
    """Run a model over images.

    Args:
        run: The model.
        split: The images.
        about: Provenance of the images; see `fer.scoring.trace.find_provenance`.
        tta: See `fer.scoring.inference.infer`.

    Raises:
        FerError: Images cannot be read, the augmentation is unknown, or the model returns NaN.
    """
    config = run.checkpoint.config
    batch_size = config["datamodule"].get("eval_batch_size", _DEFAULT_BATCH_SIZE)
    start = time.perf_counter()
    outputs = infer(run.checkpoint.model, split.data, config["model"]["image_size"], batch_size, tta)
    _check_finite(outputs.logits, run)
    seconds = {"seconds": round(time.perf_counter() - start, 3)}
    without_tta = _predictions(run, split, outputs, {**about, **seconds})
    if outputs.tta_probs is None:
        return ScoredRun(without_tta, None)
    return ScoredRun(average([outputs.tta_probs], without_tta, {"tta": tta}), without_tta)


def _check_finite(logits: np.ndarray, run: TrainedRun) -> None:
    """Reject NaN: its argmax would count as a prediction of the first emotion."""
    if num_bad := int((~np.isfinite(logits)).any(1).sum()):
        raise FerError(
            f"{run.path}: expected finite numbers from the model, got NaN or infinity for {num_bad:,} of "
            f"{len(logits):,} images. Its training diverged: use an earlier checkpoint, or train it again."
        )


def average(probs: list[np.ndarray], base: Predictions, about: Mapping[str, Any]) -> Predictions:
    """Return ``base`` with its probabilities replaced by the mean of these, ``(N, K)`` each."""
    mean: np.ndarray = np.asarray(np.mean(probs, axis=0, dtype=np.float64))
    logits = np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
    return replace(base, probs=mean.astype(np.float32), logits=logits, about={**base.about, **about})


def _predictions(
    run: TrainedRun, split: EvaluationSplit, outputs: InferenceOutputs, about: Mapping[str, Any]
) -> Predictions:
    rows = outputs.rows
    return Predictions(
        labels=run.checkpoint.labels,
        index=split.index[rows],
        target=split.target[rows],
        logits=outputs.logits,
        probs=softmax(outputs.logits),
        votes=None if split.votes is None else split.votes[rows],
        source=split.sources()[rows],
        about={**_about_run(run), **about},
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, float32 ``(N, K)``, computed in float64."""
    powers = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def _about_run(run: TrainedRun) -> dict[str, Any]:
    model = run.checkpoint.config["model"]
    return {
        "run": run.name,
        "model": model["name"],
        "image_size": model["image_size"],
        "parameters": sum(weights.numel() for weights in run.checkpoint.model.parameters()),
        "checkpoint": str(run.path),
        "epoch": run.checkpoint.epoch,
        "seed": run.seed,
        "model_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "trained_on": run.checkpoint.manifest,
        "init_from": run.checkpoint.init_from,
        "tta": None,
        "temperature": None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
