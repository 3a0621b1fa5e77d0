"""An evaluation: runs and data put together, scored, entered in the ledger, and written down."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.curves import read_metrics
from fer.analysis.figure import Figure
from fer.analysis.images import Images
from fer.analysis.ledger import History, Ledger, entry
from fer.analysis.predictions import Predictions
from fer.analysis.report import write_report
from fer.analysis.report.plain import plain
from fer.analysis.scores import score as figures_of
from fer.analysis.section import Section
from fer.analysis.seeds_section import median_seed
from fer.errors import FerError
from fer.evaluating.calibrating import find_calibration
from fer.evaluating.check_seeds import check_seeds
from fer.evaluating.report_logging import log_report
from fer.evaluating.report_place import check_place, report_folder
from fer.evaluating.reporting import Findings, sections
from fer.evaluating.score_table import print_scores
from fer.scoring import Scene, Scored, TrainedRun, ensemble, load_run, score
from fer.training.loggers import finish_wandb, start_wandb
from fer.training.run_folder import read_record

_LEDGER = ("accuracy", "macro_f1", "uar")
_MOVED = 0.005  # of an accuracy; less is rounding in half precision
_WANDB: dict[str, Any] = {"project": "fer", "entity": None, "group": None, "tags": []}


@dataclass(frozen=True)
class Result:
    """Predictions of a run or an ensemble, with and without test-time augmentation, and their figures."""

    predictions: Predictions
    plain: Predictions
    figures: Mapping[str, Figure]
    plain_figures: Mapping[str, Figure]


def evaluate(request: Namespace) -> Path:
    """Score as asked on the command line, and write the report.

    Args:
        request: What `fer.evaluate.parser` returns.

    Returns:
        Path of the page.

    Raises:
        FerError: Anything that the user can put right.
    """
    runs = [load_run(source, request.checkpoint) for source in request.runs]
    _check_together(runs, request.ensemble)
    scene = Scene(runs[0], request.split, request.path, request.data)
    folder = check_place(report_folder(request, runs))
    results = _score(runs, scene, request.tta, request.ensemble)
    history = _enter(results, [Ledger(folder) for folder in dict.fromkeys(run.outputs for run in runs)])
    number = median_seed([result.figures for result in results])
    run = None if request.ensemble else runs[number]
    chapters = sections(_findings(results, number, run, runs, scene, history))
    about = results[number].predictions.about
    try:
        page = write_report(folder, chapters, _title(about, len(results)), about)
        results[number].predictions.save(folder / "predictions.npz")
    except OSError as error:
        raise FerError(f"{folder}: the report cannot be written: {error.strerror}.") from error
    if len(results) > 1:
        _keep_all(results, runs, request)
    print_scores(about, chapters, page)
    if request.logger == "wandb":
        _log(runs, folder, chapters)
    return page


def _check_together(runs: Sequence[TrainedRun], together: bool) -> None:
    if together and len(runs) < 2:
        raise FerError("--ensemble: expected two runs or more, got one. Name the others beside it.")
    known: dict[str, str] = {}
    for run in runs:
        if run.model_sha256 in known:
            raise FerError(f"{run.path} holds the same weights as {known[run.model_sha256]}. Name it once.")
        known[run.model_sha256] = str(run.path)
    if not together and len({run.recipe_sha256 for run in runs}) > 1:
        raise FerError(
            "Expected runs of one recipe, whose configs differ in the seed alone, got several recipes. "
            "Compare them with fer-compare, or score the mean of their probabilities with --ensemble."
        )
    if not together:
        _check_seeds(runs)


def _check_seeds(runs: Sequence[TrainedRun]) -> None:
    """Refuse runs of one recipe that are no seeds of it: other training images, or one training twice."""
    for run in runs:
        if run.training != runs[0].training:
            raise FerError(
                f"{runs[0].path} and {run.path} were trained on other images under one recipe. Seeds differ "
                "in nothing else: compare these with fer-compare."
            )
    check_seeds((run.training, run.seed, str(run.path)) for run in runs)


def _score(runs: Sequence[TrainedRun], scene: Scene, tta: str | None, together: bool) -> list[Result]:
    scenes = [scene.scene_of(run) if together else scene for run in runs]
    scored = [score(run, place.subject, place.provenance(run).about, tta)
              for run, place in zip(runs, scenes, strict=True)]  # fmt: skip
    if together:
        members = ensemble([one.predictions for one in scored])
        plain_ones = None if tta is None else ensemble([one.plain for one in scored if one.plain is not None])
        scored = [Scored(members, plain_ones)]
    return [_measure(one) for one in scored]


def _measure(scored: Scored) -> Result:
    def figures(table: Predictions) -> dict[str, Figure]:
        return figures_of(table.target, table.probs, table.labels.names)

    main = figures(scored.predictions)
    if scored.plain is None:
        return Result(scored.predictions, scored.predictions, main, main)
    return Result(scored.predictions, scored.plain, main, figures(scored.plain))


def _enter(results: Sequence[Result], ledgers: Sequence[Ledger]) -> History:
    """Enter scores of test images in the runs' ledgers, before anybody sees them.

    Returns:
        What the fullest of the ledgers said before.
    """
    abouts = [result.predictions.about for result in results]
    histories = [ledger.history({"members": abouts, **abouts[0]}) for ledger in ledgers]
    history = max(histories, key=lambda one: (one.same_recipe, one.recipes))
    if results[0].predictions.about["has_test"]:
        found = [{key: plain(result.figures[key]) for key in _LEDGER} for result in results]
        for ledger in ledgers:
            ledger.append(*(entry(about, figures) for about, figures in zip(abouts, found, strict=True)))
    return history


def _findings(
    results: Sequence[Result],
    number: int,
    run: TrainedRun | None,
    runs: Sequence[TrainedRun],
    scene: Scene,
    history: History,
) -> Findings:
    """Gather what the report is of; ``run`` is ``None`` for an ensemble of ``runs``."""
    result = results[number]
    about = result.predictions.about
    members = runs if run is None else [run]
    copies = [scene.provenance(one).has_copy for one in members]
    calibration = find_calibration(result.plain, run, scene)
    about["temperature"] = calibration.temperature if calibration else None
    if run is not None and (recorded := _recorded(run, result)):
        about["recorded"] = recorded
    metrics = run.folder / "metrics.csv" if run and run.folder else None
    return Findings(
        **vars(result),
        images=_images(scene, result.predictions),
        calibration=calibration,
        history=history,
        has_copy=_any_of(copies),
        epochs=read_metrics(metrics) if metrics and metrics.is_file() else (),
        monitor=run.trained.config.get("monitor", "val/accuracy") if run else "val/accuracy",
        model=run.trained.model if run else None,
        seeds=[(one.predictions.about, one.figures) for one in results] if len(results) > 1 else (),
    )


def _any_of(marks: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return what is marked by one at least; ``None`` where one is not known."""
    known = [rows for rows in marks if rows is not None]
    return np.logical_or.reduce(known) if len(known) == len(marks) else None


def _recorded(run: TrainedRun, result: Result) -> dict[str, float] | None:
    """Return the accuracy that training noted down for these weights and images, where it is another."""
    about, best = result.plain.about, (read_record(run.folder).get("best") or {}) if run.folder else {}
    is_same = about["role"] == "val" and not about["other_data"] and best.get("epoch") == about["epoch"]
    then, now = best.get("val/accuracy"), result.plain_figures["accuracy"].value
    if not is_same or then is None or now is None or abs(then - now) <= _MOVED:
        return None
    return {"then": then, "now": now}


def _images(scene: Scene, predictions: Predictions) -> Images:
    """Return the images of the predictions; pictures on disk are decoded when they are asked for."""
    images, rows = scene.subject.data.images, np.flatnonzero(np.isin(scene.subject.index, predictions.index))
    return images[rows] if isinstance(images, np.ndarray) else images.subset(rows)


def _keep_all(results: Sequence[Result], runs: Sequence[TrainedRun], request: Namespace) -> None:
    """Write the predictions of each seed into its run folder, where that takes them."""
    alone = Namespace(**{**vars(request), "output": None})
    for run, result in zip(runs, results, strict=True):
        place = report_folder(alone, [run])
        try:
            result.predictions.save(place / "predictions.npz")
        except OSError as error:
            print(f"{run.name}: its predictions are not kept in {place}: {error.strerror}.")


def _title(about: Mapping[str, Any], num_results: int) -> str:
    seeds = f", {num_results} seeds" if num_results > 1 else ""
    return f"{about['model'] if num_results > 1 else about['run']}{seeds}: {about['split']}"


def _log(runs: Sequence[TrainedRun], folder: Path, chapters: Sequence[Section]) -> None:
    """Send the report to W&B: into the run's own page, or for several runs a new one."""
    config = runs[0].trained.config
    options = (config.get("logger") or {}).get("wandb") or _WANDB
    place = runs[0].folder if len(runs) == 1 and runs[0].folder else folder
    run = start_wandb(options, place, config)
    failed = True
    try:
        log_report(run, chapters)
        failed = False
    finally:
        finish_wandb(run, failed)
