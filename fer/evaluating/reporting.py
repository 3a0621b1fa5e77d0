"""The report of a score: its chapters, in their order. Each is told by the analysis that measured it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer.analysis import (
    calibration,
    confusions,
    curves,
    galleries,
    human,
    label_errors,
    protocol,
    scores,
    seeds_section,
    slices,
    tta,
)
from fer.analysis.figure import Figure
from fer.analysis.images import Images
from fer.analysis.ledger import History
from fer.analysis.predictions import Predictions
from fer.analysis.section import Section
from fer.analysis.temperature import Calibration
from fer.errors import FerError
from fer.evaluating import gradcam
from fer.evaluating.head_pose import find_points
from fer.models import EmotionClassifier


@dataclass(frozen=True)
class Findings:
    """What a report is written of.

    Attributes:
        predictions: With test-time augmentation, where that was asked for.
        plain: Without it; the same where it was not.
        figures: What `fer.analysis.scores.score` returned for ``predictions``.
        plain_figures: The same for ``plain``.
        images: uint8 ``(N, H, W, C)``, those of the predictions; on disk or in memory.
        calibration: Fitted on the validation split, or ``None``.
        history: Test scores before this one.
        has_copy: bool ``(N,)``, whether a copy is among the training images; ``None`` where not known.
        epochs: Rows of the run's ``metrics.csv``; none for an ensemble.
        monitor: What chose the best epoch.
        model: Which made the predictions; ``None`` for an ensemble.
        seeds: ``about`` and figures of each run, where several seeds of a recipe were scored.
    """

    predictions: Predictions
    plain: Predictions
    figures: Mapping[str, Figure]
    plain_figures: Mapping[str, Figure]
    images: Images
    calibration: Calibration | None
    history: History
    has_copy: np.ndarray | None = None
    epochs: Sequence[Mapping[str, float]] = ()
    monitor: str = "val/accuracy"
    model: EmotionClassifier | None = None
    seeds: Sequence[tuple[Mapping[str, Any], Mapping[str, Figure]]] = field(default_factory=tuple)


def sections(found: Findings) -> list[Section]:
    """Return the chapters of a report, warnings first."""
    about = found.predictions.about
    return [
        *protocol.warnings(about, found.history),
        *_scores(found),
        human.section(found.predictions),
        calibration.section(found.plain, found.calibration),
        *_errors(found),
        *_training(found),
        protocol.section(about, found.history),
    ]


def _scores(found: Findings) -> Iterator[Section]:
    if found.seeds:
        abouts, figures = zip(*found.seeds, strict=True)
        yield seeds_section.section(abouts, figures)
    yield scores.section(found.predictions, dict(found.figures))
    if found.plain is not found.predictions:
        yield tta.section(found.predictions.about["tta"], found.plain_figures, found.figures)


def _errors(found: Findings) -> Iterator[Section]:
    about, predictions = found.predictions.about, found.predictions
    yield confusions.section(predictions)
    yield galleries.section(predictions, found.images)
    if about["other_data"] or about["role"] not in ("train", "all"):  # a model knows the labels it learnt
        yield label_errors.section(predictions, found.images)
    yield slices.section(predictions, found.images, found.has_copy, *find_points(found.images))
    if found.model is not None:
        yield _heat(found, found.model)


def _heat(found: Findings, model: EmotionClassifier) -> Section:
    """Tell where the model looks, or why that cannot be shown."""
    size = found.predictions.about["image_size"]
    try:
        return gradcam.section(found.predictions, found.images, model, size)
    except FerError as error:
        return Section("gradcam", "Where the model looks", [str(error)])


def _training(found: Findings) -> Iterator[Section]:
    if found.epochs:
        yield curves.section(found.epochs, found.monitor)
