"""Calibrate a bundle on labelled images: a new version with temperature, threshold and class priors."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.metrics.calibration import manifest_sha256
from fer.analysis.metrics.calibration_file import Calibration, calibration_entry
from fer.analysis.metrics.classification import confusion_counts
from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.temperature import NUM_FOLDS
from fer.bundle.card import BEFORE_CALIBRATION, CALIBRATION, SCHEMA_VERSION, Card, check_name, model_name
from fer.bundle.files import MODEL, Bundle, read_bundle, sha256, write_card
from fer.bundle.registry import Registry, check_new_name
from fer.bundle.runtime import OnnxClassifier
from fer.calibrate.figures import CERTAIN_ACCURACY, COVERAGE, Answers, Figures, compare_answers
from fer.calibrate.fit import Fit, PriorShift, cross_fit, fit
from fer.calibrate.graph import change_calibration
from fer.calibrate.images import LabelledFaces, list_unlabelled, read_labelled_faces, read_unlabelled
from fer.calibrate.priors import Expected, expected_priors
from fer.core.errors import FerError
from fer.faces.detectors import choose_detector

# Of the images that the priors are estimated from: those of the calibration.
SAME_IMAGES = ""
# Metrics that another temperature leaves as they are: those of the most probable emotion.
_OF_PREDICTIONS = ("accuracy", "uar", "macro_f1", "weighted_f1", "kappa", "precision/", "recall/", "f1/")
# Maximum difference of a probability between the new file and its calibration computed from the old one.
_TOLERANCE = {"fp32": 1e-4, "int8": 1e-4, "fp16": 1e-2}


@dataclass(frozen=True)
class Calibrated:
    """A calibrated bundle.

    Attributes:
        bundle: The new version in the registry.
        base: The bundle that was calibrated.
        fit: What was fitted, to all images.
        figures: Before, and cross-fitted after.
        images: What it was fitted on.
        expected: What the model has learned of the frequencies; None without priors.
    """

    bundle: Bundle
    base: Bundle
    fit: Fit
    figures: Figures
    images: LabelledFaces
    expected: Expected | None


def calibrate(
    base: Bundle,
    data: str,
    registry: Registry,
    name: str | None = None,
    split: str | None = None,
    labels: Sequence[str] | None = None,
    group: str = "auto",
    faces: bool = False,
    detector: str | None = None,
    priors: str | None = None,
    accuracy: float | None = None,
    biases: bool = False,
) -> Calibrated:
    """Calibrate a bundle and register it as a new version.

    Args:
        base: The bundle. It stays as it is.
        data: ``kind:path`` of labelled images, see `fer.calibrate.images.read_labelled_faces`; also for
            ``split``, ``labels`` and ``group``.
        registry: Where the new version is written.
        name: Its name, which no model of the package may have; None: that of ``base``.
        faces: The images are photographs: faces are detected and cropped. False: they are cropped faces.
        detector: With ``faces``: as for `fer.faces.detectors.choose_detector`; None: ``auto``.
        priors: Correct for the frequencies of the emotions where the model is used: a folder of images of
            that place, without labels, or `SAME_IMAGES`. None: they are not corrected.
        accuracy: Accuracy that certain predictions have to reach, in (0, 1); None: as for an export.
        biases: Without ``priors``: also fit a bias of each emotion to the labels.

    Raises:
        FerError: The data or the name is wrong, there are too few images, or the file cannot be changed.
    """
    name = base.card.name if name is None else name
    check_name(name)
    check_new_name(name)
    expected = None if priors is None else expected_priors(base.card)
    if detector is not None and not faces:
        raise FerError(f"--detector {detector}: expected --faces with it, got none. Add --faces.")
    unlabelled = list_unlabelled(priors) if priors else []
    finder = choose_detector(detector or "auto") if faces else None
    images = read_labelled_faces(base.card, data, split, labels, group, finder)
    _check_groups(data, images)
    classifier = OnnxClassifier(base)
    probs = classifier(images.faces)
    logits, shift = _logits(base.card, probs), None
    if priors is not None and expected is not None:
        others = None
        if priors != SAME_IMAGES:
            found = read_unlabelled(base.card, priors, unlabelled, finder or choose_detector("none"))
            others = _logits(base.card, classifier(found))
        shift = PriorShift(expected.priors, expected.temperature, others)
    fitted = fit(logits, images.target, shift, accuracy, biases)
    after = Answers(*cross_fit(logits, images.target, images.groups, shift, accuracy, biases))
    threshold = base.card.uncertain_below
    before = Answers(probs, probs.max(1) >= (0.0 if threshold is None else threshold))
    figures = compare_answers(images.target, images.groups, before, after)
    with tempfile.TemporaryDirectory() as scratch:
        draft = _write(Path(scratch), base, name, fitted, images, logits)
        card = _card(draft, base, fitted, figures, images, after, shift, expected)
        write_card(draft.folder, card)
        bundle = registry.register(read_bundle(draft.folder))
    return Calibrated(bundle, base, fitted, figures, images, expected)


def _check_groups(data: str, images: LabelledFaces) -> None:
    if (count := len(np.unique(images.groups))) < NUM_FOLDS:
        raise FerError(
            f"{data}: expected images of at least {NUM_FOLDS} people or videos, as many as there are folds, "
            f"got {count} ({images.rule}). Add images, or group them otherwise with --group."
        )


def _logits(card: Card, probs: np.ndarray) -> np.ndarray:
    """Return the logits of a model before its calibration, up to a constant for each image."""
    logs = np.log(np.maximum(probs, np.finfo(np.float32).tiny).astype(np.float64))
    # What an earlier calibration added to the logits.
    earlier = (card.export.get("recalibration") or {}).get("log_prior")
    return card.temperature * (logs if earlier is None else logs - np.array(earlier))


def _write(
    folder: Path, base: Bundle, name: str, fitted: Fit, images: LabelledFaces, logits: np.ndarray
) -> Bundle:
    """Write the changed model and its card as it was, with a new name, and check the model's answers."""
    path = folder / MODEL
    temperatures = (base.card.temperature, fitted.temperature)
    change_calibration(base.model_path, path, temperatures, fitted.log_prior, {"name": name})
    model = base.card.model | {"sha256": sha256(path), "bytes": path.stat().st_size}
    draft = Bundle(folder, replace(base.card, name=name, version=0, model=model))
    difference = float(np.abs(OnnxClassifier(draft)(images.faces) - fitted.probs(logits)).max())
    if difference > _TOLERANCE.get(base.card.precision, 1e-4):
        raise FerError(
            f"{base.model_path}: expected probabilities that follow from its calibration, got others (by up "
            f"to {difference:.1g}). The temperature on its card is not the one in the file; export it again."
        )
    return draft


def _card(
    draft: Bundle,
    base: Bundle,
    fitted: Fit,
    figures: Figures,
    images: LabelledFaces,
    after: Answers,
    shift: PriorShift | None,
    expected: Expected | None,
) -> Card:
    card, threshold = draft.card, fitted.threshold
    hashes = {key: value for key, value in images.manifest.items() if key.endswith("_sha256")}
    calibration = fitted.calibration(images.split, len(images.target), manifest_sha256(hashes))
    changed = {
        "base": {
            "model": model_name(base.card),
            "sha256": base.card.model["sha256"],
            "temperature": base.card.temperature,
            "abstain_below": base.card.abstain_below,
            "origin": base.origin or None,
        },
        "changed": ["temperature", "threshold", *_corrections(fitted)],
        "n": len(images.target),
        "groups": {"count": len(np.unique(images.groups)), "rule": images.rule or None},
        "folds": NUM_FOLDS,
        "left_out": images.left_out,
        "detector": images.detector,
        "log_prior": None if fitted.log_prior is None else fitted.log_prior.tolist(),
        "priors": None if shift is None else _priors(card, shift, fitted),
        "expected": _expected(base.card, expected),
        "difference": {key: _json(value) for key, value in figures.difference.items()},
    }
    return replace(
        card,
        temperature=fitted.temperature,
        abstain_below=None if threshold is None else threshold.confidence,
        metrics=_metrics(base.card, images, figures, after, hashes, fitted.log_prior is not None),
        export=card.export | {"calibration": _entry(calibration, figures), "recalibration": changed},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_version=SCHEMA_VERSION,
    )


def _corrections(fitted: Fit) -> list[str]:
    if fitted.log_prior is None:
        return []
    return ["biases of the emotions" if fitted.priors is None else "class priors"]


def _expected(card: Card, expected: Expected | None) -> dict[str, Any] | None:
    """Return what the model has learned of the frequencies, for later calibrations; None if not known."""
    if expected is None:
        try:
            expected = expected_priors(card)
        except FerError:
            return None
    return {
        "priors": expected.priors.tolist(),
        "temperature": expected.temperature,
        "is_measured": expected.is_measured,
    }


def _entry(calibration: Calibration, figures: Figures) -> dict[str, Any] | None:
    """Return the card's entry on the calibration, whose coverage and accuracy are cross-fitted ones."""
    entry = calibration_entry(calibration)
    if entry is not None and entry["threshold"] is not None:
        cross_fitted = {
            "coverage": figures.after[COVERAGE].value,
            "accuracy": figures.after[CERTAIN_ACCURACY].value,
        }
        entry["threshold"] = entry["threshold"] | cross_fitted
    return entry


def _priors(card: Card, shift: PriorShift, fitted: Fit) -> dict[str, Any]:
    assert fitted.priors is not None
    return {
        "training": dict(zip(card.labels.names, shift.source.tolist(), strict=True)),
        "estimated": dict(zip(card.labels.names, fitted.priors.tolist(), strict=True)),
        "n": None if shift.logits is None else len(shift.logits),
    }


def _metrics(
    card: Card,
    images: LabelledFaces,
    figures: Figures,
    after: Answers,
    hashes: Mapping[str, str],
    has_other_answers: bool,
) -> dict[str, Any]:
    """Return the metrics of the new card.

    Earlier ones stay if they are still true: with another temperature those of the most probable emotion,
    with other priors or biases none.
    """
    kept = {} if has_other_answers else {role: _still_true(part) for role, part in card.metrics.items()}
    kept = {role: part for role, part in kept.items() if role not in (CALIBRATION, BEFORE_CALIBRATION)}
    shared = {
        "split": images.split, "n": len(images.target), "selection_split": images.selected_model,
        "source": MODEL, "manifest": dict(hashes),
    }  # fmt: skip
    confusion = confusion_counts(images.target, after.probs.argmax(1), len(card.labels)).tolist()
    names = list(figures.after)
    return kept | {
        CALIBRATION: shared | {
            "figures": {key: _json(value) for key, value in figures.after.items()},
            "cross_fitted": {"folds": NUM_FOLDS, "figures": names},
            "confusion": confusion,
        },
        BEFORE_CALIBRATION: shared | {
            "of": f"{model_name(card)}, before the calibration",
            "figures": {key: _json(value) for key, value in figures.before.items()},
        },
    }  # fmt: skip


def _still_true(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a split without those of confidences, which the calibration changes."""
    figures = {key: value for key, value in part["figures"].items() if key.startswith(_OF_PREDICTIONS)}
    return {key: value for key, value in part.items() if key != "cross_fitted"} | {"figures": figures}


def _json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
