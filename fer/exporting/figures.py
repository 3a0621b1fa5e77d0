"""How good a model is, for its card: measured on the exported file, or taken from what the run left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.count_scores import confusion_counts
from fer.analysis.report.plain import plain
from fer.analysis.scores import score
from fer.labels import LabelSpace
from fer.scoring import Scene, TrainedRun
from fer.training.run_folder import read_record

_OVERALL = ("accuracy", "macro_f1", "uar", "log_loss", "ece_mass")
_BY_EMOTION = ("precision/", "recall/", "f1/")
_CALIBRATED_ALONE = ("log_loss", "ece_mass")  # reports have them before calibration


def measured(scene: Scene, labels: LabelSpace, target: np.ndarray, probs: np.ndarray) -> dict[str, Any]:
    """Score the exported model's answers on the run's own validation split.

    Args:
        scene: That split.
        labels: What the probabilities mean.
        target: int64 ``(N,)``, class numbers of the images that could be read.
        probs: ``(N, K)``, of the exported model, calibrated.

    Returns:
        Plain values: ``split``, ``n``, ``selection_split``, ``manifest``, ``source``,
        ``figures`` with ``value``, ``low``, ``high`` each (95 %, stratified bootstrap), ``confusion``: K
        rows of K counts, a row a true emotion, a column a predicted one.
    """
    subject = scene.subject
    figures = score(target, probs, labels.names)
    counts = confusion_counts(target, probs.argmax(1), len(labels))
    entry = _entry(subject.split, subject.manifest(), True, plain(figures), "model.onnx")
    return entry | {"n": len(target), "confusion": counts.tolist()}


def recorded(run: TrainedRun) -> dict[str, Any]:
    """Return what reports of fer-evaluate say of these weights, else what training noted down."""
    if run.folder is None:
        return {}
    found = {role: _from_report(run, run.folder / "report" / role) for role in ("val", "test")}
    known = {role: entry for role, entry in found.items() if entry}
    return known if "val" in known else _from_record(run, run.folder) | known


def copies_in_training(runs: Sequence[TrainedRun]) -> int | None:
    """Return how many validation images are exact copies of training ones; None where nobody counted.

    Of several runs it is the most: an image that one has seen counts as seen.
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
        about, figures = report["about"], report["scores"]
        is_ours = about["model_sha256"] == run.model_sha256 and not about["other_data"] and not about["tta"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_ours:
        return None
    kept = {key: value for key, value in figures.items() if key not in _CALIBRATED_ALONE}
    entry = _entry(about["split"], about["manifest"], about["role"] == "val", kept, "report of fer-evaluate")
    return entry | _confusion(report, run.trained.labels) | {"copies_in_training": about["seen"].get("train")}


def _confusion(report: Mapping[str, Any], labels: LabelSpace) -> dict[str, Any]:
    """Return the confusion matrix of a report; nothing where it has none for these emotions."""
    chapter = report.get("confusions", {})
    return {"confusion": chapter["counts"]} if chapter.get("labels") == list(labels.names) else {}


def _from_record(run: TrainedRun, folder: Path) -> dict[str, Any]:
    """Return the validation of the checkpoint's own epoch, with Wilson's interval for the accuracy."""
    record = read_record(folder)
    best, part = record.get("best") or {}, run.trained.manifest["splits"].get("val")
    if part is None or best.get("epoch") != run.trained.epoch:
        return {}
    figures = {key.removeprefix("val/"): {"value": value} for key, value in best.items() if key != "epoch"}
    low, high = record.get("accuracy_95") or (None, None)
    figures["accuracy"] |= {"low": low, "high": high}
    kept = {key: value for key, value in figures.items() if key in ("accuracy", "macro_f1", "uar")}
    return {"val": _entry(part["split"], part, True, kept, "run.json of the training")}


def _entry(
    split: str, manifest: Mapping[str, Any], selection: bool, figures: Mapping[str, Any], source: str
) -> dict[str, Any]:
    hashes = {key: value for key, value in manifest.items() if key.endswith("_sha256")}
    return {
        "split": split,
        "n": manifest["count"],
        "selection_split": selection,
        "source": source,
        "manifest": hashes,
        "figures": {key: _figure(value) for key, value in figures.items() if _is_kept(key)},
    }


def _is_kept(key: str) -> bool:
    return key in _OVERALL or key.startswith(_BY_EMOTION)


def _figure(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": value["value"], "low": value.get("low"), "high": value.get("high")}
