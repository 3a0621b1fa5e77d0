"""The report section with image galleries: the most confident errors and the most confused pairs."""

import numpy as np

from fer.analysis.confusions import ConfusedPair, confused_pairs
from fer.analysis.contact_sheet import ImageStrip, plot_contact_sheet
from fer.analysis.images import Images
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Plot, Section
from fer.analysis.share import format_percent

GALLERY_COLUMNS = 5
_NUM_ERRORS, _NUM_PAIRS = 25, 6


def confident_errors(predictions: Predictions, limit: int = _NUM_ERRORS) -> np.ndarray:
    """Return the rows of the errors with the highest confidence, most confident first, int64 ``(n,)``."""
    wrong = np.flatnonzero(predictions.preds != predictions.target)
    return wrong[np.argsort(-predictions.probs[wrong].max(1), kind="stable")][:limit]


def gallery_section(predictions: Predictions, images: Images) -> Section:
    """Return the section with contact sheets of confident errors and of confused pairs.

    Args:
        predictions: Of a split.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
    """
    rows, pairs = confident_errors(predictions), confused_pairs(predictions, _NUM_PAIRS)
    numbers = {"confident_errors": predictions.index[rows], "probabilities": predictions.probs[rows].max(1)}
    title = "Examples of errors"
    if not len(rows):
        return Section("galleries", title, ["There are no errors in this split."], numbers=numbers)
    wrong = predictions.preds != predictions.target
    num_confident = int((wrong & (predictions.probs.max(1) >= 0.9)).sum())
    paragraphs = [
        f"In {num_confident:,} of {int(wrong.sum()):,} errors the confidence of the model is 90 % or more. "
        "Such an image is either hard for the model or has a wrong label."
    ]
    plots = [_errors_plot(predictions, images, rows), _pairs_plot(predictions, images, pairs)]
    return Section("galleries", title, paragraphs, plots=plots, numbers=numbers)


def _errors_plot(predictions: Predictions, images: Images, rows: np.ndarray) -> Plot:
    names = predictions.labels.names
    captions = [
        [f"true {names[predictions.target[row]]}", _predicted(predictions, row)] for row in rows.tolist()
    ]
    fig = plot_contact_sheet(
        [ImageStrip("", images[rows], captions)],
        GALLERY_COLUMNS,
        "The most confident errors",
        "highest confidence first",
    )
    alt = f"{len(rows)} faces, each with its label, the predicted emotion and its probability"
    return Plot("confident_errors", png_bytes(fig), alt, f"The {len(rows)} most confident errors.")


def _pairs_plot(predictions: Predictions, images: Images, pairs: list[ConfusedPair]) -> Plot:
    strips = [_strip(predictions, images, pair) for pair in pairs]
    title, subtitle = "The most confused pairs", "for each pair the images with the highest confidence"
    fig = plot_contact_sheet(strips, GALLERY_COLUMNS, title, subtitle)
    alt = f"Rows of faces for each of the {len(pairs)} most confused pairs of emotions"
    return Plot("confused_pairs", png_bytes(fig), alt, f"Up to {GALLERY_COLUMNS} images for each pair.")


def _strip(predictions: Predictions, images: Images, pair: ConfusedPair) -> ImageStrip:
    names, rows = predictions.labels.names, pair.rows[:GALLERY_COLUMNS]
    count = f"{len(pair):,} image{'' if len(pair) == 1 else 's'}"
    of_true = f"{format_percent(len(pair) / pair.support)} of {names[pair.true]}"
    heading = f"{names[pair.true]}, predicted as {names[pair.predicted]}  ·  {count}, {of_true}"
    return ImageStrip(heading, images[rows], [[_predicted(predictions, row)] for row in rows.tolist()])


def _predicted(predictions: Predictions, row: int) -> str:
    """Return the prediction for an image, ``"pred happy 93 %"``; a longer text would not fit the tile."""
    predicted = int(predictions.probs[row].argmax())
    probability = format_percent(float(predictions.probs[row, predicted]))
    return f"pred {predictions.labels.names[predicted]} {probability}"
