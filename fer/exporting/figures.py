"""Metrics for a model card: measured on the exported file, or read from the run's reports and records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.count_scores import confusion_counts
from fer.analysis.report.plain import to_json_values
from fer.analysis.scores import score
from fer.labels import LabelSpace
from fer.scoring import EvaluationData, TrainedRun
from fer.training.run_folder import read_record

_OVERALL = ("accuracy", "macro_f1", "uar", "log_loss", "ece_mass")
_BY_EMOTION = ("precision/", "recall/", "f1/")
# Reports have these before calibration, but the exported model is calibrated.
_UNCALIBRATED_IN_REPORTS = ("log_loss", "ece_mass")


def measure_metrics(
    evaluation: EvaluationData, labels: LabelSpace, target: np.ndarray, probs: np.ndarray
) -> dict[str, Any]:
    """Score the exported model's predictions on the run's own validation split.

    Args:
        evaluation: The run's data and its validation split.
        labels: The model's emotions.
        target: int64 ``(N,)``, class indices of the readable images.
        probs: ``(N, K)``, calibrated probabilities of the exported model.

    Returns:
        JSON values: ``split``, ``n``, ``selection_split``, ``manifest``, ``source``, ``figures`` (the
        metrics, each with ``value``, ``low`` and ``high``: 95 % interval, stratified bootstrap) and
        ``confusion``: K rows of K counts, one row per true emotion, one column per predicted emotion.
    """
    split = evaluation.split
    metrics = score(target, probs, labels.names)
    counts = confusion_counts(target, probs.argmax(1), len(labels))
    entry = _entry(split.name, split.manifest(), True, to_json_values(metrics), "model.onnx")
    return entry | {"n": len(target), "confusion": counts.tolist()}


def recorded_metrics(run: TrainedRun) -> dict[str, Any]:
    """Return the metrics of these weights from the reports of fer-evaluate, else from the training record."""
    if run.folder is None:
        return {}
    reports = {role: _from_report(run, run.folder / "report" / role) for role in ("val", "test")}
    known = {role: entry for role, entry in reports.items() if entry}
    return known if "val" in known else _from_record(run, run.folder) | known


def copies_in_training(runs: Sequence[TrainedRun]) -> int | None:
    """Return the number of validation images that are exact copies of training images; None if not counted.

    For an ensemble it is the maximum over its members.
    """
    counts = [_copies_in_training(run) for run in runs]
    known = [count for count in counts if count is not None]
    return max(known) if any(known) or (known and len(known) == len(counts)) else None


def _copies_in_training(run: TrainedRun) -> int | None:
    try:
        report = (
            json.loads((run.folder / "duplicates.json").read_text(encoding="utf-8")) if run.folder else {}
        )
        return int(report["exact"]["images"]["val"]["train"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_report(run: TrainedRun, folder: Path) -> dict[str, Any] | None:
    try:
        report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        about, metrics = report["about"], report["scores"]
        matches = about["model_sha256"] == run.model_sha256 and not about["other_data"] and not about["tta"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not matches:
        return None
    values = {key: value for key, value in metrics.items() if key not in _UNCALIBRATED_IN_REPORTS}
    entry = _entry(
        about["split"], about["manifest"], about["role"] == "val", values, "report of fer-evaluate"
    )
    return (
        entry | _confusion(report, run.checkpoint.labels) | {"copies_in_training": about["seen"].get("train")}
    )


def _confusion(report: Mapping[str, Any], labels: LabelSpace) -> dict[str, Any]:
    """Return the confusion matrix of a report; empty if it has none for these emotions."""
    section = report.get("confusions", {})
    return {"confusion": section["counts"]} if section.get("labels") == list(labels.names) else {}


def _from_record(run: TrainedRun, folder: Path) -> dict[str, Any]:
    """Return the validation metrics of the checkpoint's epoch, with Wilson's interval for the accuracy."""
    record = read_record(folder)
    best, part = record.get("best") or {}, run.checkpoint.manifest["splits"].get("val")
    if part is None or best.get("epoch") != run.checkpoint.epoch:
        return {}
    metrics = {key.removeprefix("val/"): {"value": value} for key, value in best.items() if key != "epoch"}
    low, high = record.get("accuracy_95") or (None, None)
    metrics["accuracy"] |= {"low": low, "high": high}
    values = {key: value for key, value in metrics.items() if key in ("accuracy", "macro_f1", "uar")}
    return {"val": _entry(part["split"], part, True, values, "run.json of the training")}


def _entry(
    split: str, manifest: Mapping[str, Any], selection: bool, metrics: Mapping[str, Any], source: str
) -> dict[str, Any]:
    hashes = {key: value for key, value in manifest.items() if key.endswith("_sha256")}
    return {
        "split": split,
        "n": manifest["count"],
        "selection_split": selection,
        "source": source,
        "manifest": hashes,
        "figures": {key: _estimate(value) for key, value in metrics.items() if _is_exported(key)},
    }


def _is_exported(key: str) -> bool:
    return key in _OVERALL or key.startswith(_BY_EMOTION)


def _estimate(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": value["value"], "low": value.get("low"), "high": value.get("high")}
