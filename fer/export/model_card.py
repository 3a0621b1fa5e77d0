"""The parts of a model card that come from the run: name, crop rule, licence, training and metrics."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.metrics.classification import confusion_counts, score
from fer.analysis.metrics.temperature import NUM_FOLDS, cross_fitted_probs
from fer.analysis.report.write import to_json_values
from fer.bundle.card import MEAN_PROBS, check_name
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.core.names import model_name
from fer.evaluation.data import EvaluationData
from fer.evaluation.runs import TrainedRun
from fer.export.sample_images import PATH_KEYS, strip_folder, strip_folders
from fer.models.checkpoint import TIMM_WEIGHTS
from fer.training.run_folder import RUN_NAME, read_metrics
from fer.training.run_record import RunRecord, read_record

# The folders of `path: ...` inside a list of data sets on the command line.
_PATH = re.compile(r"(\bpath\s*:\s*['\"]?)[^,}\]]*/(?=[^/,}\]\s])")
# The folders of any other path inside a list.
_FOLDERS = re.compile(r"(?<![^\s=:,'\"{\[(])(?:~[\w.-]*)?/(?:[^\s,'\"{}\[\]]*/)?")
# Config keys that are local to this machine or run.
_LOCAL_KEYS = ("output_dir", "resume", "logger", "name", "tags", "test")
# Training data of initial weights, if it was not recorded.
_UNKNOWN = "unknown"
_RESEARCH_ONLY = (
    "For research only: the terms of the data also apply to the weights. Not for products, and not for "
    "decisions about people."
)
_OWN_TERMS = (
    "The terms of the images also apply to the weights; they are not known to this program. Not for "
    "decisions about people."
)
_LICENCES = {
    "fer2013": "FER2013 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414): faces collected from a "
    "web search, for research.",
    "ferplus": "FER2013's faces (https://arxiv.org/abs/1307.0414), for research, with FER+'s votes (Barsoum "
    "et al. 2016, https://arxiv.org/abs/1608.01041).",
    "rafdb": "RAF-DB (Li et al. 2017, https://doi.org/10.1109/CVPR.2017.277): non-commercial research only.",
    "affectnet": "AffectNet (Mollahosseini et al. 2017, https://arxiv.org/abs/1708.03985): non-commercial "
    "research only.",
    "synthetic": "Synthetic faces, no real people: licence of this package.",
    TIMM_WEIGHTS: "Initial weights from timm, mostly trained on ImageNet: their terms also apply.",
    _UNKNOWN: "Initial weights whose training data is unknown: their terms also apply.",
}
_CUSTOM_DATA = "Your images; their terms are not known to this program."
# Metrics that a card contains: overall, and prefixes of those per emotion.
CALIBRATION_METRICS = ("log_loss", "ece_mass")
_OVERALL = ("accuracy", "macro_f1", "uar", *CALIBRATION_METRICS)
_BY_EMOTION = ("precision/", "recall/", "f1/")


def choose_name(runs: Sequence[TrainedRun], requested: str | None) -> str:
    """Return the name of the model: the requested one, else one made from the run's name without its seed.

    Raises:
        FerError: The name is not allowed as a folder name, or several runs were given without a name.
    """
    if requested is None and len(runs) > 1:
        raise FerError("--name: expected a name for the ensemble of several runs, got none. Add --name NAME.")
    run = runs[0]
    run_name = run.config.name or run.name
    match = RUN_NAME.fullmatch(run_name)
    if requested is None:
        return model_name(match["stem"] if match else run_name)
    check_name(requested)
    return requested


def licence(runs: Sequence[TrainedRun]) -> dict[str, str]:
    """Return the terms of data and weights; the terms of the initial weights' training data also apply."""
    names = dict.fromkeys(name for run in runs for name in _all_data(run))
    terms = " ".join(dict.fromkeys(_LICENCES.get(name, _CUSTOM_DATA) for name in names))
    if set(names) <= {"synthetic"}:
        return {"data": terms, "weights": "Licence of this package."}
    if not set(names) & (_LICENCES.keys() - {"synthetic"}):
        return {"data": terms, "weights": _OWN_TERMS}
    return {"data": terms, "weights": _RESEARCH_ONLY}


def _all_data(run: TrainedRun) -> Iterator[str]:
    """Yield the names of the data sets that the weights were trained on, including the initial weights."""
    yield from run.checkpoint.dataset_names
    origin = run.checkpoint.init_from
    if run.config.model.pretrained and origin is None:
        # What a file was trained on is not known.
        yield TIMM_WEIGHTS if run.config.model.pretrained is True else _UNKNOWN
    while origin is not None:
        yield from origin.get("data") or [_UNKNOWN]
        origin = origin.get("init_from")
    for teacher in run.checkpoint.teachers:
        yield from teacher.get("data") or [_UNKNOWN]


def training_entry(runs: Sequence[TrainedRun]) -> dict[str, Any]:
    """Return the card's training entry: that of the first run, with the other runs as ``members``."""
    first, *others = map(_training, runs)
    return first | ({"members": others} if others else {})


def _training(run: TrainedRun) -> dict[str, Any]:
    """Return the training entry of one run as JSON values, without local paths."""
    record = read_record(run.folder)
    epochs, seconds = _duration(run.folder, record)
    config = {key: value for key, value in run.checkpoint.config.items() if key not in _LOCAL_KEYS}
    match = RUN_NAME.fullmatch(run.config.name or run.name)
    return {
        "command": _public_command(record.command),
        "experiment": match["stem"] if match else None,
        "run": run.name,
        "seed": run.seed,
        "epoch": run.checkpoint.epoch,
        "epochs": epochs,
        "seconds": seconds,
        "commit": record.commit,
        "versions": record.versions,
        "data": run.config.data.name,
        "manifest": run.checkpoint.manifest,
        "init_from": strip_folders(run.checkpoint.init_from),
        **({"teachers": strip_folders(teachers)} if (teachers := run.checkpoint.teachers) else {}),
        "weights_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "recipe": strip_folders(config),
    }


def _duration(folder: Path | None, record: RunRecord) -> tuple[int | None, float | None]:
    """Return the epochs and seconds of a run; of a killed run, those up to its last logged epoch."""
    metrics = folder / "metrics.csv" if folder else None
    if record.epochs is not None or metrics is None or not metrics.is_file():
        return record.epochs, record.fit_seconds
    rows = read_metrics(metrics)
    seconds = rows[-1].get("perf/fit_seconds") if rows else None
    return len(rows) or None, seconds and round(seconds, 3)


def _public_command(command: str | None) -> str | None:
    """Return a command line with paths reduced to file names, and without its output folder."""
    if command is None:
        return None
    arguments = [
        argument.partition("=") for argument in shlex.split(command) if not argument.startswith("output_dir=")
    ]
    return shlex.join(f"{key}{sign}{_public_value(key, value)}" for key, sign, value in arguments)


def _public_value(key: str, value: str) -> str:
    """Return a value of the command line with paths reduced to file names."""
    if key == "distill":
        return ",".join(map(strip_folder, value.split(",")))
    if key.rpartition(".")[2] in PATH_KEYS:
        return strip_folder(value)
    return _FOLDERS.sub("", _PATH.sub(r"\1", strip_folders(value)))


def measure_metrics(
    evaluation: EvaluationData,
    labels: LabelSpace,
    target: np.ndarray,
    probs: np.ndarray,
    temperature: float | None,
) -> dict[str, Any]:
    """Score the exported model's predictions on the run's validation split.

    If the temperature was fitted on these images, `CALIBRATION_METRICS` are cross-fitted, and left out for
    fewer images than folds.

    Args:
        evaluation: The run's data and its validation split.
        labels: The model's emotions.
        target: int64 ``(N,)``, class indices of the readable images.
        probs: ``(N, K)``, probabilities of the exported model.
        temperature: Temperature of the model, fitted on these images; None if it is not calibrated.

    Returns:
        JSON values: ``split``, ``n``, ``selection_split``, ``manifest``, ``source``, ``figures`` (the
        metrics, each with ``value``, ``low`` and ``high``: 95 % interval, stratified bootstrap),
        ``cross_fitted`` (number of folds and metrics, if any), ``confusion``: K rows of K counts, one row
        per true emotion, one column per predicted emotion; and ``mean_probs``, the mean of ``probs``.
    """
    split, folds = evaluation.split, None
    counts = confusion_counts(target, probs.argmax(1), len(labels))
    mean_probs = probs.mean(0, dtype=np.float64).tolist()
    if temperature is not None and len(target) >= NUM_FOLDS:
        folds = NUM_FOLDS
        # The logits of the model, up to a constant for each image.
        logits = temperature * np.log(np.maximum(probs, np.finfo(np.float32).tiny).astype(np.float64))
        # A temperature changes no prediction, so all other metrics stay the same.
        probs = cross_fitted_probs(logits, target, temperature)
    metrics = score(target, probs, labels.names)
    if temperature is not None and folds is None:
        metrics = {name: value for name, value in metrics.items() if name not in CALIBRATION_METRICS}
    entry = _entry(split.name, split.manifest(), True, to_json_values(metrics), "model.onnx")
    if folds is not None:
        entry["cross_fitted"] = {"folds": folds, "figures": list(CALIBRATION_METRICS)}
    return entry | {"n": len(target), "confusion": counts.tolist(), MEAN_PROBS: mean_probs}


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
    # In reports these are measured before calibration, but the exported model is calibrated.
    values = {key: value for key, value in metrics.items() if key not in CALIBRATION_METRICS}
    entry = _entry(
        about["split"], about["manifest"], about["role"] == "val", values, "report of fer-evaluate"
    )
    confusions = report.get("confusions", {})
    if confusions.get("labels") == list(run.checkpoint.labels.names):
        entry["confusion"] = confusions["counts"]
    return entry | {"copies_in_training": about["seen"].get("train")}


def _from_record(run: TrainedRun, folder: Path) -> dict[str, Any]:
    """Return the validation metrics of the checkpoint's epoch, with Wilson's interval for the accuracy."""
    record = read_record(folder)
    best, part = record.best_metrics, run.checkpoint.manifest["splits"].get("val")
    if part is None or best.get("epoch") != run.checkpoint.epoch:
        return {}
    names = ("accuracy", "macro_f1", "uar")
    values: dict[str, Any] = {name: {"value": best[f"val/{name}"]} for name in names if f"val/{name}" in best}
    low, high = record.accuracy_95 or (None, None)
    values["accuracy"] |= {"low": low, "high": high}
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
        "figures": {
            key: {"value": value["value"], "low": value.get("low"), "high": value.get("high")}
            for key, value in metrics.items()
            if key in _OVERALL or key.startswith(_BY_EMOTION)
        },
    }
