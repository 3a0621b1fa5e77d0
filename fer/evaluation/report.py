"""The sections of an evaluation report, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fer.analysis.about import About
from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.metrics.estimate import Estimate
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Section
from fer.core.errors import FerError
from fer.evaluation.head_pose import find_landmarks
from fer.evaluation.ledger import History
from fer.evaluation.sections.calibration import calibration_section
from fer.evaluation.sections.errors import confusions_section, gallery_section
from fer.evaluation.sections.gradcam import SECTION_TITLE, gradcam_section
from fer.evaluation.sections.label_errors import label_errors_section
from fer.evaluation.sections.protocol import protocol_section, warning_sections
from fer.evaluation.sections.scores import annotators_section, scores_section, seeds_section, tta_section
from fer.evaluation.sections.slices import slices_section
from fer.evaluation.sections.training import training_section
from fer.models.classifier import EmotionClassifier


@dataclass(frozen=True)
class ReportInputs:
    """Inputs of a report.

    Attributes:
        predictions: Predictions with test-time augmentation, if requested.
        without_tta: Predictions without it; the same object if it was not requested.
        estimates: Result of `fer.analysis.metrics.classification.score` for ``predictions``.
        estimates_without_tta: The same for ``without_tta``.
        images: uint8 ``(N, H, W, C)``, the images of the predictions; on disk or in memory.
        calibration: Fitted on the validation split, or ``None``.
        history: Earlier test scores.
        has_copy: bool ``(N,)``, whether the training images contain a duplicate; ``None`` if unknown.
        epochs: Rows of the run's ``metrics.csv``; empty for an ensemble.
        monitor: Metric that selected the best epoch.
        model: The model of the predictions; ``None`` for an ensemble.
        seeds: ``about`` and estimates of each run, if several seeds of a recipe were scored.
    """

    predictions: Predictions
    without_tta: Predictions
    estimates: Mapping[str, Estimate]
    estimates_without_tta: Mapping[str, Estimate]
    images: Images
    calibration: Calibration | None
    history: History
    has_copy: np.ndarray | None = None
    epochs: Sequence[Mapping[str, float]] = ()
    monitor: str = "val/accuracy"
    model: EmotionClassifier | None = None
    seeds: Sequence[tuple[About, Mapping[str, Estimate]]] = field(default_factory=tuple)


def build_sections(inputs: ReportInputs) -> list[Section]:
    """Return the sections of a report, warnings first."""
    about = inputs.predictions.about
    return [
        *warning_sections(about, inputs.history),
        *_scores(inputs),
        annotators_section(inputs.predictions),
        calibration_section(inputs.without_tta, inputs.calibration),
        *_errors(inputs),
        *_training(inputs),
        protocol_section(about, inputs.history),
    ]


def _scores(inputs: ReportInputs) -> Iterator[Section]:
    if inputs.seeds:
        abouts, estimates = zip(*inputs.seeds, strict=True)
        yield seeds_section(abouts, estimates)
    yield scores_section(inputs.predictions, dict(inputs.estimates))
    if (tta := inputs.predictions.about.tta) is not None:
        yield tta_section(tta, inputs.estimates_without_tta, inputs.estimates)


def _errors(inputs: ReportInputs) -> Iterator[Section]:
    about, predictions = inputs.predictions.about, inputs.predictions
    yield confusions_section(predictions)
    yield gallery_section(predictions, inputs.images)
    # Confident predictions reveal label errors only if the model was not trained on these labels
    if about.other_data or about.role not in ("train", "all"):
        yield label_errors_section(predictions, inputs.images)
    yield slices_section(predictions, inputs.images, inputs.has_copy, *find_landmarks(inputs.images))
    if inputs.model is not None:
        yield _gradcam(inputs, inputs.model)


def _gradcam(inputs: ReportInputs, model: EmotionClassifier) -> Section:
    """Return the Grad-CAM section, or a section that says why there are no saliency maps."""
    size = inputs.predictions.about.image_size
    try:
        return gradcam_section(inputs.predictions, inputs.images, model, size)
    except FerError as error:
        return Section("gradcam", SECTION_TITLE, [str(error)])


def _training(inputs: ReportInputs) -> Iterator[Section]:
    if inputs.epochs:
        yield training_section(inputs.epochs, inputs.monitor)
