"""Faces that the model gets wrong: the errors that it is surest of, and the pairs that it confuses most."""

import numpy as np

from fer.analysis.confusions import ConfusedPair, confused_pairs
from fer.analysis.contact_sheet import Strip, plot_contact_sheet
from fer.analysis.images import Images
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Picture, Section
from fer.analysis.share import percent

COLUMNS = 5
_ERRORS, _PAIRS = 25, 6


def confident_errors(predictions: Predictions, limit: int = _ERRORS) -> np.ndarray:
    """Return the positions of the errors with the largest probability, the surest first, int64 ``(n,)``."""
    wrong = np.flatnonzero(predictions.preds != predictions.target)
    return wrong[np.argsort(-predictions.probs[wrong].max(1), kind="stable")][:limit]


def section(predictions: Predictions, images: Images) -> Section:
    """Return the chapter: contact sheets of confident errors and of confused pairs.

    Args:
        predictions: Of a split.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
    """
    rows, pairs = confident_errors(predictions), confused_pairs(predictions, _PAIRS)
    numbers = {"confident_errors": predictions.index[rows], "probabilities": predictions.probs[rows].max(1)}
    title = "Errors to look at"
    if not len(rows):
        return Section("galleries", title, ["There is no error in this split."], numbers=numbers)
    wrong = predictions.preds != predictions.target
    sure = int((wrong & (predictions.probs.max(1) >= 0.9)).sum())
    words = [
        f"Of {int(wrong.sum()):,} errors the model was 90 % sure or more of {sure:,}. Such an image is one "
        "that the model does not understand, or one with a wrong label."
    ]
    pictures = [_errors_picture(predictions, images, rows), _pairs_picture(predictions, images, pairs)]
    return Section("galleries", title, words, pictures=pictures, numbers=numbers)


def _errors_picture(predictions: Predictions, images: Images, rows: np.ndarray) -> Picture:
    names = predictions.labels.names
    captions = [[f"true {names[predictions.target[row]]}", _said(predictions, row)] for row in rows.tolist()]
    fig = plot_contact_sheet(
        [Strip("", images[rows], captions)], COLUMNS, "The surest errors", "the most confident first"
    )
    alt = f"{len(rows)} faces with their label and what the model said with what probability"
    return Picture("confident_errors", png_bytes(fig), alt, f"The {len(rows)} most confident errors.")


def _pairs_picture(predictions: Predictions, images: Images, pairs: list[ConfusedPair]) -> Picture:
    strips = [_strip(predictions, images, pair) for pair in pairs]
    title, subtitle = "The most confused pairs", "of each the images that the model was surest of"
    fig = plot_contact_sheet(strips, COLUMNS, title, subtitle)
    alt = f"Rows of faces for each of the {len(pairs)} most confused pairs of emotions"
    return Picture("confused_pairs", png_bytes(fig), alt, f"Up to {COLUMNS} images a pair.")


def _strip(predictions: Predictions, images: Images, pair: ConfusedPair) -> Strip:
    names, rows = predictions.labels.names, pair.rows[:COLUMNS]
    count = f"{len(pair):,} image{'' if len(pair) == 1 else 's'}"
    of_true = f"{percent(len(pair) / pair.support)} of {names[pair.true]}"
    heading = f"{names[pair.true]}, said to be {names[pair.said]}  ·  {count}, {of_true}"
    return Strip(heading, images[rows], [[_said(predictions, row)] for row in rows.tolist()])


def _said(predictions: Predictions, row: int) -> str:
    """Return what the model said, ``"said happy 93 %"``."""
    said = int(predictions.probs[row].argmax())
    return f"said {predictions.labels.names[said]} {percent(float(predictions.probs[row, said]))}"
