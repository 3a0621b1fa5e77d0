"""What fer-predict writes to the terminal about pictures."""

from collections.abc import Iterator, Sequence

from fer.bundle.card import model_name
from fer.predict import Answer, Predictor
from fer.prediction import Prediction

_BAR = 20  # characters
_PARTS = " ▏▎▍▌▋▊▉█"  # eighths of a character


def head_line(predictor: Predictor) -> str:
    """Return what serves, e.g. ``model fast:1 (7 emotions, fp32), faces by yunet``."""
    card = predictor.card
    return (
        f"model {model_name(card)} ({len(card.labels)} emotions, {card.precision}), "
        f"faces by {predictor.detector.name}"
    )


def answer_lines(
    name: str, answer: Answer, width: int, emotions: Sequence[str], every: bool
) -> Iterator[str]:
    """Yield the lines about a picture: one a face, or one that says that it shows none.

    Args:
        name: Of its file.
        answer: On it.
        width: Characters for the name.
        emotions: All that the model knows.
        every: Add a line for each emotion.
    """
    name = name if len(name) <= width else "…" + name[len(name) - width + 1 :]
    if answer.error or not answer.predictions:
        yield f"{name:<{width}}  {'could not be read' if answer.error else 'no face found'}"
    longest = max(map(len, emotions))
    for number, prediction in enumerate(answer.predictions, 1):
        yield f"{name:<{width}}  {number:>2}  {_face(prediction, longest)}".rstrip()
        if every:
            for emotion, share in prediction.probabilities.items():
                yield f"{'':<{width}}      {_share(emotion, share, longest)}".rstrip()


def _face(prediction: Prediction, longest: int) -> str:
    line = _share(prediction.label, prediction.confidence, longest)
    side = round(min(prediction.face.box[2:]))
    notes = ["uncertain"] * prediction.uncertain + [f"tiny face, {side} pixels"] * prediction.tiny
    return f"{line}  {', '.join(notes)}"


def _share(emotion: str, share: float, longest: int) -> str:
    return f"{emotion:<{longest}}  {100 * share:3.0f} %  {bar(share)}"


def bar(share: float) -> str:
    """Return a bar of a share of 0 to 1, padded to the same width."""
    whole, eighths = divmod(round(share * 8 * _BAR), 8)
    return f"{'█' * whole}{_PARTS[eighths] if eighths else ''}".ljust(_BAR)
