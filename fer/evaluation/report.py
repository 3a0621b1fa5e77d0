"""The sections of an evaluation report, in order."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Section
from fer.core.errors import FerError
from fer.evaluation.faces import found_faces
from fer.evaluation.head_pose import find_landmarks
from fer.evaluation.ledger import History
from fer.evaluation.results import Result
from fer.evaluation.robustness import Robustness
from fer.evaluation.sections.calibration import calibration_section
from fer.evaluation.sections.errors import confusions_section, gallery_section
from fer.evaluation.sections.faces import faces_section
from fer.evaluation.sections.gradcam import SECTION_TITLE, gradcam_section
from fer.evaluation.sections.label_errors import label_errors_section
from fer.evaluation.sections.protocol import protocol_section, warning_sections
from fer.evaluation.sections.robustness import robustness_section
from fer.evaluation.sections.scores import annotators_section, scores_section, seeds_section, tta_section
from fer.evaluation.sections.slices import slices_section
from fer.evaluation.sections.training import training_section
from fer.models.classifier import EmotionClassifier


def build_sections(
    results: Sequence[Result],
    index: int,
    *,
    images: Images,
    calibration: Calibration | None,
    history: History,
    has_copy: np.ndarray | None,
    epochs: Sequence[Mapping[str, float]],
    monitor: str,
    model: EmotionClassifier | None,
    robustness: Robustness | None = None,
) -> list[Section]:
    """Return the sections of a report, warnings first.

    Args:
        results: Of each seed; otherwise a single result.
        index: The result that the report is about.
        images: uint8 ``(N, H, W, C)``, the images of its predictions; on disk or in memory.
        calibration: Fitted on the validation split, or ``None``.
        history: Earlier test scores.
        has_copy: bool ``(N,)``, whether the training images contain a duplicate; ``None`` if unknown.
        epochs: Rows of the run's ``metrics.csv``; empty for an ensemble.
        monitor: Metric that selected the best epoch.
        model: The model of the predictions; ``None`` for an ensemble.
        robustness: Scores on corrupted images; ``None`` if they were not measured.
    """
    result = results[index]
    predictions, about = result.predictions, result.predictions.about
    sections = warning_sections(about, history)
    if len(results) > 1:
        abouts = [one.predictions.about for one in results]
        sections.append(seeds_section(abouts, [one.estimates for one in results]))
    sections.append(scores_section(predictions, dict(result.estimates)))
    if about.faces is not None:
        sections.append(faces_section(predictions, images))
    if about.tta is not None:
        sections.append(tta_section(about.tta, result.estimates_without_tta, result.estimates))
    sections.append(annotators_section(predictions))
    sections.append(calibration_section(result.without_tta, calibration))
    if robustness is not None:
        sections.append(robustness_section(robustness, images, about.has_test, about.tta))
    sections += _errors(predictions, images, has_copy, model)
    if epochs:
        sections.append(training_section(epochs, monitor))
    return [*sections, protocol_section(about, history)]


def _errors(
    predictions: Predictions, images: Images, has_copy: np.ndarray | None, model: EmotionClassifier | None
) -> Iterator[Section]:
    about = predictions.about
    yield confusions_section(predictions)
    yield gallery_section(predictions, images)
    # Confident predictions reveal label errors only if the model was not trained on these labels
    if about.other_data or about.role not in ("train", "all"):
        yield label_errors_section(predictions, images)
    yield slices_section(predictions, images, has_copy, *find_landmarks(images))
    if model is not None:
        try:
            yield gradcam_section(*found_faces(predictions, images), model, about.image_size)
        except FerError as error:
            yield Section("gradcam", SECTION_TITLE, [str(error)])
