"""Score runs: predictions on a split with their provenance, ensembles, and the calibration of a run."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fer.analysis.about import About
from fer.analysis.metrics.calibration import calibrate
from fer.analysis.metrics.calibration_file import Calibration, read_calibration, write_calibration
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, check_same_labels
from fer.data.dataset import EmotionData
from fer.evaluation.data import EvaluationData
from fer.evaluation.faces import Photographs, answer_no_face
from fer.evaluation.provenance import find_provenance
from fer.evaluation.runs import TrainedRun
from fer.evaluation.split import EvaluationSplit
from fer.models.inference import InferenceOutputs, infer

_DEFAULT_BATCH_SIZE = 512


@dataclass(frozen=True)
class ScoredRun:
    """Predictions of a run with and without test-time augmentation; one object if it was not requested."""

    predictions: Predictions
    without_tta: Predictions


def score_run(run: TrainedRun, split: EvaluationSplit, about: About, tta: str | None = None) -> ScoredRun:
    """Return the predictions of a run for the images of a split.

    ``about`` is the provenance of the images (`fer.evaluation.provenance.find_provenance`), and ``tta`` the
    test-time augmentation (`fer.models.inference.infer`).

    Raises:
        FerError: Images cannot be read, the augmentation is unknown, or the model returns NaN.
    """
    start = time.perf_counter()
    outputs = _infer(run, split.data, tta)
    about = replace(about, seconds=round(time.perf_counter() - start, 3), **_run_facts(run))
    rows = outputs.rows
    without_tta = Predictions(
        labels=run.checkpoint.labels,
        index=split.index[rows],
        target=split.target[rows],
        logits=outputs.logits,
        probs=softmax(outputs.logits),
        votes=None if split.votes is None else split.votes[rows],
        source=split.sources()[rows],
        about=about,
    )
    if outputs.tta_probs is None:
        scored = ScoredRun(without_tta, without_tta)
    else:
        augmented = average([outputs.tta_probs], without_tta, replace(about, tta=tta))
        scored = ScoredRun(augmented, without_tta)
    return scored if split.faces is None else _without_missed(scored, split.faces, rows)


def _without_missed(scored: ScoredRun, faces: Photographs, rows: np.ndarray) -> ScoredRun:
    """Return the predictions with photographs in which no face was detected as wrong answers."""
    plain = answer_no_face(scored.without_tta, faces, rows)
    if scored.predictions is scored.without_tta:
        return ScoredRun(plain, plain)
    return ScoredRun(answer_no_face(scored.predictions, faces, rows), plain)


def predict_images(runs: Sequence[TrainedRun], images: np.ndarray) -> np.ndarray:
    """Return the mean of the probabilities of runs for images in memory, as `score_run` computes them.

    Args:
        runs: One run, or the members of an ensemble; they have the same labels.
        images: uint8 ``(N, H, W, C)``, with the channels of their models.

    Returns:
        float32 ``(N, K)``.
    """
    data = without_labels(images, runs[0].checkpoint.labels)
    probs = [softmax(_infer(run, data).logits) for run in runs]
    mean: np.ndarray = np.asarray(np.mean(probs, axis=0, dtype=np.float64))
    return mean.astype(np.float32)


def without_labels(images: np.ndarray, labels: LabelSpace) -> EmotionData:
    """Return images, uint8 ``(N, H, W, C)``, as data for `infer`; its targets mean nothing."""
    unused = np.zeros(len(images), np.int64)
    return EmotionData(images, unused, unused.astype(np.uint8), ("images",), {"val": "images"}, labels, "")


def _infer(run: TrainedRun, data: EmotionData, tta: str | None = None) -> InferenceOutputs:
    config = run.config.datamodule
    batch_size = _DEFAULT_BATCH_SIZE if config is None else config.eval_batch_size
    outputs = infer(run.checkpoint.model, data, run.config.model.image_size, batch_size, tta)
    _check_finite(outputs.logits, run)
    return outputs


def _check_finite(logits: np.ndarray, run: TrainedRun) -> None:
    """Raise `FerError` for NaN and infinity: the argmax of NaN would count as the first emotion."""
    if num_bad := int((~np.isfinite(logits)).any(1).sum()):
        raise FerError(
            f"{run.path}: expected finite numbers from the model, got NaN or infinity for {num_bad:,} of "
            f"{len(logits):,} images. Its training diverged: use an earlier checkpoint, or train it again."
        )


def average(probs: list[np.ndarray], base: Predictions, about: About) -> Predictions:
    """Return ``base`` with the mean of several ``probs``, ``(N, K)`` each, and other facts about them."""
    mean: np.ndarray = np.asarray(np.mean(probs, axis=0, dtype=np.float64))
    logits = np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
    return replace(base, probs=mean.astype(np.float32), logits=logits, about=about)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, float32 ``(N, K)``, computed in float64."""
    powers = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def _run_facts(run: TrainedRun) -> dict[str, Any]:
    """Return the fields of `About` on a run."""
    return {
        "run": run.name,
        "model": run.architecture,
        "image_size": run.config.model.image_size,
        "parameters": run.parameters,
        "checkpoint": str(run.path),
        # They are counted from 1; a foreign file does not say
        "epoch": run.checkpoint.epoch or None,
        "seed": run.seed,
        "model_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "trained_on": run.checkpoint.manifest,
        "init_from": run.checkpoint.init_from,
        "teachers": tuple(run.checkpoint.teachers),
        "exported": run.facts or None,
        "spec": run.spec,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def ensemble_predictions(members: Sequence[Predictions]) -> Predictions:
    """Return the mean of the probabilities of two or more models for the same images.

    Raises:
        FerError: Their label spaces or images differ.
    """
    first = members[0]
    for other in members[1:]:
        check_same_labels(first.labels, other.labels, other.about.checkpoint)
        if not (np.array_equal(first.index, other.index) and np.array_equal(first.target, other.target)):
            raise FerError(
                f"--ensemble: expected predictions for the same images, but {first.about.checkpoint} "
                f"({len(first):,} images) and {other.about.checkpoint} ({len(other):,} images) have "
                "different ones. Name runs of one data set."
            )
    abouts = tuple(member.about for member in members)
    about = replace(
        first.about,
        run=f"ensemble of {len(members)} runs",
        member_runs=", ".join(one.run for one in abouts),
        members=abouts,
        checkpoint=", ".join(one.checkpoint for one in abouts),
        parameters=sum(one.parameters for one in abouts),
        model_sha256=_joint_hash([one.model_sha256 for one in abouts]),
        recipe_sha256=_joint_hash([one.recipe_sha256 for one in abouts]),
        seed=None,
        epoch=None,
        **_combine_provenance(abouts),
    )
    return average([member.probs for member in members], first, about)


def _combine_provenance(abouts: Sequence[About]) -> dict[str, Any]:
    """Return the provenance of the images for an ensemble: an image seen by one member counts as seen."""
    seen: dict[str, int | None] = {}
    for role in dict.fromkeys(role for about in abouts for role in about.seen):
        counts = [about.seen.get(role) for about in abouts]
        known = [count for count in counts if count is not None]
        seen[role] = max(known) if any(known) or len(known) == len(counts) else None
    return {
        "seen": seen,
        "changed": tuple(sorted({role for about in abouts for role in about.changed})),
        "other_data": any(about.other_data for about in abouts),
        "has_test": any(about.has_test for about in abouts),
        "test_images": next((about.test_images for about in abouts if about.test_images), None),
        "test_marks": next((about.test_marks for about in abouts if about.test_marks), ()),
    }


def _joint_hash(hashes: list[str]) -> str:
    return hashlib.sha256("\n".join(["ensemble", *sorted(hashes)]).encode()).hexdigest()


def find_calibration(
    predictions: Predictions, run: TrainedRun | None, data: EvaluationData
) -> Calibration | None:
    """Return the calibration of a run: fitted on its validation split, or loaded from its folder.

    Args:
        predictions: Predictions for any split, without test-time augmentation.
        run: The run; ``None`` for an ensemble, which is only calibrated when its validation split is scored.

    Returns:
        ``None`` if the validation split that the run was trained with is not available, or the outputs are
        calibrated already.
    """
    if run is not None and run.is_calibrated:
        return None
    if _is_own_validation(predictions):
        calibration = calibrate(predictions)
    elif run is None:
        return None
    elif (stored := read_calibration(run.path.parent, run.model_sha256)) is not None:
        return stored
    elif (validation := _score_validation(run, data)) is not None:
        calibration = calibrate(validation)
    else:
        return None
    if run is None or not os.access(folder := run.path.parent, os.W_OK):
        return calibration
    # Only the calibration of the best checkpoint replaces an existing one
    if run.path.stem == "best" or read_calibration(folder) is None:
        write_calibration(folder, calibration)
    return calibration


def _is_own_validation(predictions: Predictions) -> bool:
    about = predictions.about
    is_val = about.role == "val" and not about.other_data and "val" not in about.changed
    return is_val and about.faces is None


def _score_validation(run: TrainedRun, data: EvaluationData) -> Predictions | None:
    dataset, split = data.training_dataset(run), data.validation_split(run)
    if dataset is None or split is None:
        return None
    predictions = score_run(run, split, find_provenance(run, split, dataset, dataset).about).predictions
    return predictions if _is_own_validation(predictions) else None
