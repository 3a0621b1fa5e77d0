"""Evaluate runs: load them and their data, score, record test scores in the ledger, and write the report."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.metrics.classification import score
from fer.analysis.metrics.estimate import Estimate
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report import write_report
from fer.analysis.report.document import Section
from fer.analysis.report.write import to_json_values
from fer.core.errors import FerError
from fer.core.plugins import import_plugins
from fer.data.image_files import ImageFiles
from fer.evaluation.bundles import ModelSource, check_checkpoint, check_data, list_models, load_model
from fer.evaluation.close_ups import FACE, CloseUps, predict_close_ups
from fer.evaluation.data import EvaluationData
from fer.evaluation.faces import FaceFinder, choose_finder, without_no_face
from fer.evaluation.ledger import LEDGER_METRICS, History, Ledger, make_entry
from fer.evaluation.output import log_report, report_prefix
from fer.evaluation.report import build_sections
from fer.evaluation.report_folder import check_writable, report_folder
from fer.evaluation.results import Report, Result
from fer.evaluation.robustness import CorruptionOptions, Robustness, choose_options, measure_robustness
from fer.evaluation.rounding import accuracy_change
from fer.evaluation.runs import TrainedRun, check_distinct_seeds
from fer.evaluation.score import (
    ScoredRun,
    ensemble_predictions,
    find_calibration,
    predict_images,
    score_run,
)
from fer.evaluation.sections.scores import median_run
from fer.evaluation.split import EvaluationSplit
from fer.training.config import WandbConfig
from fer.training.loggers import finish_wandb, start_wandb, warn_on_failure
from fer.training.run_folder import read_metrics
from fer.training.run_record import read_record


def evaluate(
    runs: ModelSource | Sequence[ModelSource] = (),
    split: str | None = None,
    *,
    path: str | None = None,
    data: str | None = None,
    labels: Sequence[str] | None = None,
    onnx: Sequence[str | Path] = (),
    spec: Sequence[str | Path] = (),
    faces: bool = False,
    detector: str | None = None,
    tta: str | None = None,
    ensemble: bool = False,
    checkpoint: str | None = None,
    output: str | Path | None = None,
    logger: str | None = None,
    plugins: Sequence[str] = (),
    corruptions: bool = False,
    corruption_images: int | None = None,
    corruption_seed: int | None = None,
) -> Report:
    """Score runs and write the report. The keywords are the options of fer-evaluate.

    >>> report = fer.evaluate("outputs/train/DATE/RUN", split="val", tta="flip")
    >>> report.metrics["accuracy"].value, report.metrics["accuracy"].low, report.page

    Args:
        runs: One or several: run folders, ``.ckpt`` files, results of `fer.train`, or with ``data`` bundles
            (their folders, or names of models).
        split: ``train``, ``val``, ``test`` or ``all``; ``None``: val, or of another data set what it has.
        path: New path of the data of the runs; ``None`` if it has not moved.
        data: ``kind:path`` of another data set to score.
        labels: Emotions of its numbered folders, or of the numbers in its CSV file, in ascending order.
        onnx: Foreign ONNX files to score, with ``data``.
        spec: How to run each of them (`fer.bundle.foreign_spec`); none: the YAML files beside them.
        faces: The images are photographs: detect and crop the faces; a missed face is a wrong answer.
        detector: The face detector, one of `fer.faces.detectors.DETECTORS`; ``None``: ``auto``.
        tta: Test-time augmentation, one of `fer.models.inference.TTA`.
        ensemble: Score the mean of the probabilities of the runs. Otherwise several runs are seeds of one
            recipe.
        checkpoint: ``best`` or ``last``, for run folders; ``None``: best if there is one.
        output: Folder for the report; ``None``: see `report_folder`.
        logger: ``wandb`` to log the report there as well.
        plugins: Modules with parts of one's own that the runs use (`fer.register_model`).
        corruptions: Also score corrupted images (`fer.evaluation.corruptions`): accuracy and ECE under seven
            corruptions at five strengths, without test-time augmentation. Of several seeds, the run with the
            median accuracy is scored.
        corruption_images: Largest number of images for it, drawn at random; ``None``: all.
        corruption_seed: Seed of the corruptions and of the drawn images; ``None``: 0.

    Raises:
        FerError: An error that the user can fix.
    """
    if logger not in (None, "wandb"):
        raise FerError(f"--logger {logger}: expected wandb.")
    corruption = choose_options(corruptions, corruption_images, corruption_seed)
    import_plugins(plugins, "--plugins")
    finder = choose_finder(faces, detector, data)
    sources = list_models(runs, onnx, spec)
    trained = [load_model(source, checkpoint) for source in sources]
    check_data(trained, data)
    check_checkpoint(trained, checkpoint)
    _check_runs(trained, ensemble)
    evaluation_data = EvaluationData(trained[0], split, path, data, labels, faces=finder)
    split = evaluation_data.role
    if corruptions and ensemble:
        _check_same_format(trained, evaluation_data)
    folder = check_writable(report_folder(trained, split, data, tta, ensemble, output, faces))
    results = _score(trained, evaluation_data, tta, ensemble)
    history = _record(results, [Ledger(outputs) for outputs in dict.fromkeys(run.outputs for run in trained)])
    index = median_run([result.estimates for result in results])
    run = None if ensemble else trained[index]
    members = [run] if run else trained
    calibration = find_calibration(results[index].without_tta, run, evaluation_data)
    results[index] = _add_facts(results[index], run, calibration)
    images = _scored_images(evaluation_data.split_for(members[0]), results[index].predictions)
    robustness = None
    if corruption is not None:
        scored = results[index].without_tta
        robustness = _robustness(scored, members, images, corruption, finder, evaluation_data)
    metrics = run.folder / "metrics.csv" if run and run.folder else None
    sections = build_sections(
        results,
        index,
        images=images,
        calibration=calibration,
        history=history,
        has_copy=_has_copy(members, evaluation_data),
        epochs=read_metrics(metrics) if metrics and metrics.is_file() else (),
        monitor=run.monitor if run else "val/accuracy",
        model=run.network if run else None,
        robustness=robustness,
    )
    page = _write(folder, sections, results, results[index].predictions)
    if len(results) > 1:
        _save_each(results, trained, split, data, tta, faces)
    if logger == "wandb":
        prefix = report_prefix(results[index].predictions.about, trained[0].config.datamodule, data)
        _log(trained, folder, sections, prefix)
    return Report(_metrics(sections), results[index].predictions, page, results, sections)


def _scored_images(split: EvaluationSplit, predictions: Predictions) -> Images:
    """Return the images of the predictions; images on disk are decoded on access."""
    images, rows = split.data.images, np.flatnonzero(np.isin(split.index, predictions.index))
    return images[rows] if isinstance(images, np.ndarray) else images.subset(rows)


def _has_copy(members: Sequence[TrainedRun], data: EvaluationData) -> np.ndarray | None:
    """Return whether each image is a copy of a training image of a member; None if unknown for a member."""
    masks = [data.provenance(member).has_copy for member in members]
    known = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(known) if len(known) == len(masks) else None


def _write(
    folder: Path, sections: Sequence[Section], results: Sequence[Result], predictions: Predictions
) -> Path:
    """Write the report and the predictions that it is about; return the page."""
    about = predictions.about
    title = f"{about.model}, {len(results)} seeds" if len(results) > 1 else about.run
    try:
        page = write_report(folder, sections, f"{title}: {about.split}", about.to_dict())
        predictions.save(folder / "predictions.npz")
    except OSError as error:
        raise FerError(f"{folder}: the report cannot be written: {error.strerror}.") from error
    return page


def _metrics(sections: Sequence[Section]) -> dict[str, Estimate]:
    """Return the scores; of several seeds, with the means over seeds."""
    numbers = {section.key: section.numbers for section in sections}
    means = {key: value for key, value in numbers.get("seeds", {}).items() if isinstance(value, Estimate)}
    summaries = {key: value for section in sections for key, value in section.summary.items()}
    return {**numbers["scores"], **means, **summaries}


def _robustness(
    predictions: Predictions,
    runs: Sequence[TrainedRun],
    images: Images,
    options: CorruptionOptions,
    finder: FaceFinder | None,
    data: EvaluationData,
) -> Robustness:
    """Return the scores on corrupted images; of photographs, before their faces are detected."""
    if finder is None:
        return measure_robustness(predictions, images, partial(predict_images, runs), options)
    photographs = data.split.data.images
    assert isinstance(photographs, ImageFiles)
    rows = np.flatnonzero(np.isin(data.split.index, predictions.index))
    close_ups = CloseUps(finder, [photographs.files.path(int(row)) for row in rows])
    predict = partial(predict_close_ups, runs, finder)
    return measure_robustness(predictions, close_ups, predict, options, FACE)


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
    if is_ensemble:
        return
    if len({run.recipe_sha256 for run in runs}) > 1:
        raise FerError(
            "RUN: expected runs of one recipe, whose configs differ only in the seed, got several recipes. "
            "Compare them with fer-compare, or score the mean of their probabilities with --ensemble."
        )
    for run in runs:
        if run.training_key != runs[0].training_key:
            raise FerError(
                f"{runs[0].path} and {run.path}: expected runs that differ only in the seed, got different "
                "training images. Compare them with fer-compare."
            )
    check_distinct_seeds((run.training_key, run.seed, str(run.path)) for run in runs)


def _check_same_format(members: Sequence[TrainedRun], data: EvaluationData) -> None:
    """Raise `FerError` if members of an ensemble do not see the same corrupted images."""
    for run in members:
        if data.for_run(run) is not data:
            raise FerError(
                "--corruptions: expected an ensemble whose members read the images in one size and color, "
                f"got {members[0].path} and {run.path}. Omit --ensemble, and score each by itself."
            )


def _score(
    runs: Sequence[TrainedRun], data: EvaluationData, tta: str | None, is_ensemble: bool
) -> list[Result]:
    scored = []
    for run in runs:
        run_data = data.for_run(run) if is_ensemble else data
        scored.append(score_run(run, run_data.split_for(run), run_data.provenance(run).about, tta))
    if is_ensemble:
        joint = ensemble_predictions([one.predictions for one in scored])
        without_tta = joint if tta is None else ensemble_predictions([one.without_tta for one in scored])
        scored = [ScoredRun(joint, without_tta)]
    return [_measure(one) for one in scored]


def _measure(scored: ScoredRun) -> Result:
    """Compute the estimates of the predictions with and without test-time augmentation."""
    augmented, plain = scored.predictions, scored.without_tta
    estimates = without_tta = _estimates(plain)
    if augmented is not plain:
        estimates = _estimates(augmented)
    return Result(augmented, plain, estimates, without_tta)


def _estimates(predictions: Predictions) -> dict[str, Estimate]:
    estimates = score(predictions.target, predictions.probs, predictions.labels.names)
    return estimates if predictions.about.faces is None else without_no_face(estimates)


def _record(results: Sequence[Result], ledgers: Sequence[Ledger]) -> History:
    """Record scores of test images in the ledgers of the runs, before they are shown.

    Returns:
        Earlier scores, from the ledger with the most.
    """
    abouts = [result.predictions.about for result in results]
    # Earlier scores of any seed count
    about = abouts[0] if abouts[0].members else replace(abouts[0], members=tuple(abouts))
    histories = [ledger.history(about) for ledger in ledgers]
    history = max(histories, key=lambda one: (one.same_recipe, one.recipes))
    if results[0].predictions.about.has_test:
        scores = [
            {key: to_json_values(result.estimates[key]) for key in LEDGER_METRICS} for result in results
        ]
        for ledger in ledgers:
            ledger.append(*(make_entry(about, values) for about, values in zip(abouts, scores, strict=True)))
    return history


def _add_facts(result: Result, run: TrainedRun | None, calibration: Calibration | None) -> Result:
    """Return the result with the temperature, and with a difference from the recorded accuracy."""
    plain = result.predictions
    about = replace(
        plain.about,
        temperature=calibration.temperature if calibration else None,
        recorded=_recorded_accuracy(run, result) if run else None,
    )
    predictions = replace(plain, about=about)
    without_tta = predictions if result.without_tta is plain else result.without_tta
    return replace(result, predictions=predictions, without_tta=without_tta)


def _recorded_accuracy(run: TrainedRun, result: Result) -> dict[str, float] | None:
    """Return the accuracy that training recorded for these weights and images, if it differs."""
    if result.predictions.about.faces is not None:
        return None
    change = accuracy_change(result.without_tta, read_record(run.folder))
    return None if change is None else {"then": change.then, "now": change.now}


def _save_each(
    results: Sequence[Result],
    runs: Sequence[TrainedRun],
    split: str,
    data: str | None,
    tta: str | None,
    faces: bool,
) -> None:
    """Save the predictions of each seed in its run folder, if that is writable."""
    for run, result in zip(runs, results, strict=True):
        folder = report_folder([run], split, data, tta, has_faces=faces)
        try:
            result.predictions.save(folder / "predictions.npz")
        except OSError as error:
            print(f"{run.name}: its predictions are not saved in {folder}: {error.strerror}.")


def _log(runs: Sequence[TrainedRun], folder: Path, sections: Sequence[Section], prefix: str) -> None:
    """Log the report to W&B: to the W&B run of the training, or for several runs to a new one."""
    options = runs[0].config.logger.wandb or WandbConfig()
    run_folder = runs[0].folder if len(runs) == 1 and runs[0].folder else folder
    if run_folder is folder:
        # The others belong to the W&B run of a training.
        options = options.replace(id=None, name=None, config={}, job_type="evaluation")
    run = start_wandb(options, run_folder, runs[0].shown_config, read_record(run_folder).id)
    failed = True
    try:
        # The report is written already.
        with warn_on_failure("W&B: the report was not logged"):
            log_report(run, sections, prefix)
            failed = False
    finally:
        finish_wandb(run, failed)
