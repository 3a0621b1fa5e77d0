"""The images that a session keeps with their analyses, so that another model can be applied to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import NamedTuple

import numpy as np

from fer.app.image import ImageAnalysis, analyse_image
from fer.app.resources import Version, compute_slot, get_predictor
from fer.app.settings import MAX_IMAGES, MAX_SESSION_MB
from fer.app.uploads import read_upload
from fer.core.errors import FerError
from fer.core.image_io import count_frames
from fer.predict.predictor import with_threshold


class Source(NamedTuple):
    """An image of a visitor.

    Attributes:
        identity: Distinguishes it from others.
        name: File name.
        size: Of the file, in bytes.
        read: Returns the file, or RGB pixels, uint8 ``(H, W, 3)``.
    """

    identity: str
    name: str
    size: int
    read: Callable[[], bytes | np.ndarray]


@dataclass(frozen=True)
class Answer:
    """An image and its analysis.

    Attributes:
        source: The image.
        model: Reference of the `Version` that analysed it.
        result: The analysis, or why there is none.
    """

    source: Source
    model: str | None
    result: ImageAnalysis | FerError


# By the identity of the image.
Answers = Mapping[str, Answer]


def within_limits(kept: Answers, sources: Sequence[Source]) -> list[Source]:
    """Return the new sources for which there is room, `MAX_IMAGES` and `MAX_SESSION_MB` in total."""
    accepted: list[Source] = []
    room = (MAX_SESSION_MB << 20) - sum(answer.source.size for answer in kept.values())
    for source in sources:
        if len(kept) + len(accepted) < MAX_IMAGES and source.size <= room:
            accepted.append(source)
            room -= source.size
    return accepted


def analyse(source: Source, version: Version) -> Answer:
    """Return the analysis of an image by a model."""
    predictor = get_predictor(version.reference)
    with compute_slot():
        try:
            content = source.read()
            if isinstance(content, bytes):
                result = analyse_image(source.name, read_upload(source.name, content), predictor)
                result = replace(result, num_frames=count_frames(BytesIO(content)))
            else:
                result = analyse_image(source.name, content, predictor)
        except FerError as error:
            return Answer(source, version.reference, error)
    return Answer(source, version.reference, result)


def apply_threshold(analysis: ImageAnalysis, threshold: float | None) -> ImageAnalysis:
    """Return an analysis whose predictions are uncertain below another confidence; no model runs."""
    predictions = with_threshold(analysis.predictions, threshold)
    if all(
        new.uncertain == old.uncertain for new, old in zip(predictions, analysis.predictions, strict=True)
    ):
        return analysis
    shown = with_threshold(analysis.display_predictions, threshold)
    return replace(analysis, predictions=predictions, display_predictions=shown)
