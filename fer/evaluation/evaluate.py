"""Evaluate runs: load runs and data, score, record test scores in the ledger, and write the report."""

import hashlib
import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.metrics.classification import score as compute_estimates
from fer.analysis.metrics.estimate import Estimate
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report import write_report
from fer.analysis.report.document import Section
from fer.analysis.report.write import to_json_values
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.evaluation.ledger import History, Ledger, make_entry
from fer.evaluation.output import log_report, print_scores
from fer.evaluation.provenance import EvaluationData
from fer.evaluation.report import ReportInputs, build_sections
from fer.evaluation.runs import TrainedRun, check_distinct_seeds, load_run
from fer.evaluation.score import ScoredRun, ensemble, find_calibration, score
from fer.evaluation.sections.scores import median_run
from fer.training.loggers import finish_wandb, start_wandb
from fer.training.run_folder import read_metrics, read_record

_LEDGER_METRICS = ("accuracy", "macro_f1", "uar")
# Difference of an accuracy from the recorded one; smaller ones come from rounding in half precision.
_ACCURACY_TOLERANCE = 0.005
_WANDB: dict[str, Any] = {"project": "fer", "entity": None, "group": None, "tags": []}


@dataclass(frozen=True)
class Result:
    """Predictions of a run or an ensemble, with and without test-time augmentation, and their estimates."""

    predictions: Predictions
    without_tta: Predictions
    estimates: Mapping[str, Estimate]
    estimates_without_tta: Mapping[str, Estimate]


def evaluate(request: Namespace) -> Path:
    """Score the runs of a command line, and write the report.

    Args:
        request: What `fer.evaluation.cli.evaluate_parser` returns.

    Returns:
        Path of the page.

    Raises:
        FerError: An error that the user can fix.
    """
    runs = [load_run(source, request.checkpoint) for source in request.runs]
    _check_runs(runs, request.ensemble)
    data = EvaluationData(runs[0], request.split, request.path, request.data)
    folder = check_writable(report_folder(request, runs))
    results = _score(runs, data, request.tta, request.ensemble)
    history = _record(results, [Ledger(path) for path in dict.fromkeys(run.outputs for run in runs)])
    index = median_run([result.estimates for result in results])
    run = None if request.ensemble else runs[index]
    sections = build_sections(_report_inputs(results, index, run, runs, data, history))
    about = results[index].predictions.about
    try:
        page = write_report(folder, sections, _title(about, len(results)), about)
        results[index].predictions.save(folder / "predictions.npz")
    except OSError as error:
        raise FerError(f"{folder}: the report cannot be written: {error.strerror}.") from error
    if len(results) > 1:
        _save_each(results, runs, request)
    print_scores(about, sections, page)
    if request.logger == "wandb":
        _log(runs, folder, sections)
    return page


def _check_runs(runs: Sequence[TrainedRun], is_ensemble: bool) -> None:
    if is_ensemble and len(runs) < 2:
        raise FerError("--ensemble: expected two runs or more, got one. Name the other members as well.")
    known: dict[str, str] = {}
    for run in runs:
        if run.model_sha256 in known:
            raise FerError(
                f"{run.path}: expected different weights, got the same weights as {known[run.model_sha256]}. "
                "Name only one of them."
            )
        known[run.model_sha256] = str(run.path)
    if not is_ensemble and len({run.recipe_sha256 for run in runs}) > 1:
        raise FerError(
            "Expected runs of one recipe, whose configs differ only in the seed, got several recipes. "
            "Compare them with fer-compare, or score the mean of their probabilities with --ensemble."
        )
    if not is_ensemble:
        _check_seeds(runs)


def _check_seeds(runs: Sequence[TrainedRun]) -> None:
    """Reject runs that are not different seeds: with other training images, or of one training run."""
    for run in runs:
        if run.training_key != runs[0].training_key:
            raise FerError(
                f"{runs[0].path} and {run.path}: expected runs that differ only in the seed, got different "
                "training images. Compare them with fer-compare."
            )
    check_distinct_seeds((run.training_key, run.seed, str(run.path)) for run in runs)


def _score(
    runs: Sequence[TrainedRun], data: EvaluationData, tta: str | None, is_ensemble: bool
) -> list[Result]:
    run_data = [data.for_run(run) if is_ensemble else data for run in runs]
    scored = [score(run, own.split, own.provenance(run).about, tta)
              for run, own in zip(runs, run_data, strict=True)]  # fmt: skip
    if is_ensemble:
        joint = ensemble([one.predictions for one in scored])
        without_tta = [one.without_tta for one in scored if one.without_tta is not None]
        scored = [ScoredRun(joint, None if tta is None else ensemble(without_tta))]
    return [_measure(one) for one in scored]


def _measure(scored: ScoredRun) -> Result:
    def estimates(predictions: Predictions) -> dict[str, Estimate]:
        return compute_estimates(predictions.target, predictions.probs, predictions.labels.names)

    main = estimates(scored.predictions)
    if scored.without_tta is None:
        return Result(scored.predictions, scored.predictions, main, main)
    return Result(scored.predictions, scored.without_tta, main, estimates(scored.without_tta))


def _record(results: Sequence[Result], ledgers: Sequence[Ledger]) -> History:
    """Record scores of test images in the ledgers of the runs, before they are shown.

    Returns:
        Earlier scores, from the ledger with the most.
    """
    abouts = [result.predictions.about for result in results]
    histories = [ledger.history({"members": abouts, **abouts[0]}) for ledger in ledgers]
    history = max(histories, key=lambda one: (one.same_recipe, one.recipes))
    if results[0].predictions.about["has_test"]:
        scores = [
            {key: to_json_values(result.estimates[key]) for key in _LEDGER_METRICS} for result in results
        ]
        for ledger in ledgers:
            ledger.append(*(make_entry(about, values) for about, values in zip(abouts, scores, strict=True)))
    return history


def _report_inputs(
    results: Sequence[Result],
    index: int,
    run: TrainedRun | None,
    runs: Sequence[TrainedRun],
    data: EvaluationData,
    history: History,
) -> ReportInputs:
    """Collect what the report is built from; ``run`` is ``None`` for an ensemble of ``runs``."""
    result = results[index]
    about = result.predictions.about
    members = runs if run is None else [run]
    has_copy = [data.provenance(member).has_copy for member in members]
    calibration = find_calibration(result.without_tta, run, data)
    about["temperature"] = calibration.temperature if calibration else None
    if run is not None and (recorded := _recorded_accuracy(run, result)):
        about["recorded"] = recorded
    metrics = run.folder / "metrics.csv" if run and run.folder else None
    return ReportInputs(
        **vars(result),
        images=_images(data, result.predictions),
        calibration=calibration,
        history=history,
        has_copy=_any(has_copy),
        epochs=read_metrics(metrics) if metrics and metrics.is_file() else (),
        monitor=run.checkpoint.config.get("monitor", "val/accuracy") if run else "val/accuracy",
        model=run.checkpoint.model if run else None,
        seeds=[(one.predictions.about, one.estimates) for one in results] if len(results) > 1 else (),
    )


def _any(masks: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return where at least one mask is true; ``None`` if any mask is unknown."""
    known = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(known) if len(known) == len(masks) else None


def _recorded_accuracy(run: TrainedRun, result: Result) -> dict[str, float] | None:
    """Return the accuracy that training recorded for these weights and images, if it differs."""
    about, best = result.without_tta.about, (read_record(run.folder).get("best") or {}) if run.folder else {}
    is_same = about["role"] == "val" and not about["other_data"] and best.get("epoch") == about["epoch"]
    then, now = best.get("val/accuracy"), result.estimates_without_tta["accuracy"].value
    if not is_same or then is None or now is None or abs(then - now) <= _ACCURACY_TOLERANCE:
        return None
    return {"then": then, "now": now}


def _images(data: EvaluationData, predictions: Predictions) -> Images:
    """Return the images of the predictions; images on disk are decoded on access."""
    images, rows = data.split.data.images, np.flatnonzero(np.isin(data.split.index, predictions.index))
    return images[rows] if isinstance(images, np.ndarray) else images.subset(rows)


def _save_each(results: Sequence[Result], runs: Sequence[TrainedRun], request: Namespace) -> None:
    """Save the predictions of each seed in its run folder, if that is writable."""
    request_of_one = Namespace(**{**vars(request), "output": None})
    for run, result in zip(runs, results, strict=True):
        folder = report_folder(request_of_one, [run])
        try:
            result.predictions.save(folder / "predictions.npz")
        except OSError as error:
            print(f"{run.name}: its predictions are not saved in {folder}: {error.strerror}.")


def _title(about: Mapping[str, Any], num_results: int) -> str:
    seeds = f", {num_results} seeds" if num_results > 1 else ""
    return f"{about['model'] if num_results > 1 else about['run']}{seeds}: {about['split']}"


def _log(runs: Sequence[TrainedRun], folder: Path, sections: Sequence[Section]) -> None:
    """Log the report to W&B: to the run of the training, or for several runs to a new one."""
    config = runs[0].checkpoint.config
    options = (config.get("logger") or {}).get("wandb") or _WANDB
    run_folder = runs[0].folder if len(runs) == 1 and runs[0].folder else folder
    run = start_wandb(options, run_folder, config)
    failed = True
    try:
        log_report(run, sections)
        failed = False
    finally:
        finish_wandb(run, failed)


def report_folder(request: Namespace, runs: Sequence[TrainedRun]) -> Path:
    """Return the folder of a report.

    ``--output`` if given. Otherwise ``RUN/report/val``, ``RUN/report/test_flip`` or
    ``RUN/report/folder-JAFFE-1f3c_all`` for one run, and ``outputs/evaluate/TIME_seeds_val`` for several.
    """
    if request.output:
        return expand_user(request.output)
    parts = [request.split, request.tta]
    if request.data:
        kind, _, path = request.data.partition(":")
        parts.insert(0, f"{kind}-{Path(path).name}-{_path_hash(path)}")
    if len(runs) == 1:
        stem = runs[0].path.stem
        name = _folder_name([*parts, None if stem == "best" else stem])
        return (runs[0].folder or runs[0].path.parent) / "report" / name
    kind = "ensemble" if request.ensemble else "seeds"
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    return runs[0].outputs / "evaluate" / _folder_name([now, kind, *parts])


def check_writable(folder: Path) -> Path:
    """Return ``folder`` if a report can be written there; called before anything is scored.

    Raises:
        FerError: It, or its nearest existing parent, is not a folder or not writable.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "it is not writable" if nearest.is_dir() else "it is a file"
        raise FerError(
            f"{nearest}: expected a folder for the report, but {reason}. Name another with --output."
        )
    return folder


def _path_hash(path: str) -> str:
    """Return four hex digits that distinguish data sets with the same folder name."""
    absolute = str(expand_user(path).resolve())
    return hashlib.sha256(absolute.encode("utf-8", "surrogateescape")).hexdigest()[:4]


def _folder_name(parts: Sequence[str | None]) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(filter(None, parts)))
