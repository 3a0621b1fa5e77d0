"""The terminal output of fer-predict for images: one line per face."""

from collections.abc import Iterator, Sequence

from fer.bundle.card import model_name
from fer.predict import ImageResult, Predictor
from fer.prediction import Prediction

# Width of a probability bar in characters, and the characters for eighths of one.
_BAR_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def header_line(predictor: Predictor) -> str:
    """Return the model and detector in use, e.g. ``model fast:1 (7 emotions, fp32), faces by yunet``."""
    card = predictor.card
    return (
        f"model {model_name(card)} ({len(card.labels)} emotions, {card.precision}), "
        f"faces by {predictor.detector.name}"
    )


def result_lines(
    name: str, result: ImageResult, width: int, emotions: Sequence[str], show_all: bool
) -> Iterator[str]:
    """Yield the lines for an image: one per face, or one that says that there is none.

    Args:
        name: Name of the file.
        result: The result for the image.
        width: Width of the name's column in characters; longer names are truncated.
        emotions: All emotions of the model.
        show_all: Add a line for each emotion.
    """
    name = name if len(name) <= width else "…" + name[len(name) - width + 1 :]
    if result.error or not result.predictions:
        yield f"{name:<{width}}  {'could not be read' if result.error else 'no face found'}"
    label_width = max(map(len, emotions))
    for number, prediction in enumerate(result.predictions, 1):
        yield f"{name:<{width}}  {number:>2}  {_face_text(prediction, label_width)}".rstrip()
        if show_all:
            for emotion, probability in prediction.probabilities.items():
                yield f"{'':<{width}}      {_probability_text(emotion, probability, label_width)}".rstrip()


def _face_text(prediction: Prediction, label_width: int) -> str:
    line = _probability_text(prediction.label, prediction.confidence, label_width)
    side = round(min(prediction.face.box[2:]))
    notes = ["uncertain"] * prediction.uncertain + [f"tiny face, {side} pixels"] * prediction.tiny
    return f"{line}  {', '.join(notes)}"


def _probability_text(emotion: str, probability: float, label_width: int) -> str:
    return f"{emotion:<{label_width}}  {100 * probability:3.0f} %  {bar(probability)}"


def bar(fraction: float) -> str:
    """Return a bar for a fraction from 0 to 1, padded to constant width."""
    full, eighths = divmod(round(fraction * 8 * _BAR_WIDTH), 8)
    return f"{'█' * full}{_EIGHTHS[eighths] if eighths else ''}".ljust(_BAR_WIDTH)
