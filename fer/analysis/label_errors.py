"""Probable label errors by confident learning, without a second annotation.

Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068. The threshold of a class is the mean
probability that the model gives it on the images with that label. An image counts as the class whose
threshold it reaches, the most probable one of several. Where that is not its label, it is a candidate.
Candidates are ranked by the normalised margin: the probability of the label minus the largest other
probability.

The predictions must be out of sample: a model can memorise the labels that it was trained on, including wrong
ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.contact_sheet import ImageStrip, plot_contact_sheet
from fer.analysis.figure import Estimate
from fer.analysis.images import Images
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Plot, Section, Table
from fer.analysis.share import format_percent, format_proportion, proportion

# As many as a person can review
TOP_CANDIDATES = 100
# Images and columns of the contact sheet, and candidates listed in metrics.json
_SHOWN, _COLUMNS, _LISTED = 25, 5, 100


@dataclass(frozen=True)
class LabelErrors:
    """Candidates for a wrong label, the most probable errors first.

    Attributes:
        rows: int64 ``(n,)``, positions in the predictions.
        likely: int64 ``(n,)``, the class that each candidate counts as.
        margins: float64 ``(n,)`` in [-1, 1], probability of the label minus the largest other
            probability; ascending.
        thresholds: float64 ``(K,)``, the mean probability of each class on the images with that label;
            infinite for a class without images, as no image can count as it.
        joint: int64 ``(K, K)``, the confident joint: rows are labels, columns the classes that images count
            as. An image below all thresholds is in no cell.
    """

    rows: np.ndarray
    likely: np.ndarray
    margins: np.ndarray
    thresholds: np.ndarray
    joint: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.rows)


def find_label_errors(target: np.ndarray, probs: np.ndarray) -> LabelErrors:
    """Return the images that are confidently of another class than their label, ranked by margin.

    Args:
        target: int ``(N,)``, labels of the data set, 0 to K - 1.
        probs: ``(N, K)``, out-of-sample probabilities.
    """
    probs = np.asarray(probs, np.float64)
    thresholds = class_thresholds(target, probs)
    confident = np.where(probs >= thresholds, probs, -1.0)
    counted, is_counted = confident.argmax(1), confident.max(1) >= 0
    joint = np.zeros((probs.shape[1],) * 2, np.int64)
    np.add.at(joint, (target[is_counted], counted[is_counted]), 1)
    rows = np.flatnonzero(is_counted & (counted != target))
    margins = normalised_margins(target[rows], probs[rows])
    order = np.argsort(margins, kind="stable")
    return LabelErrors(rows[order], counted[rows[order]], margins[order], thresholds, joint)


def class_thresholds(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return the mean probability of each class on images with that label, ``(K,)``; infinity without any."""
    num_classes = probs.shape[1]
    support = np.bincount(target, minlength=num_classes)
    sums = np.bincount(target, weights=probs[np.arange(len(target)), target], minlength=num_classes)
    return np.where(support > 0, sums / np.maximum(support, 1), np.inf)


def normalised_margins(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return the probability of the label minus the largest other probability, ``(n,)`` in [-1, 1]."""
    rows = np.arange(len(target))
    others = probs.copy()
    others[rows, target] = -np.inf
    return probs[rows, target] - others.max(1)


def estimate_label_noise(errors: LabelErrors, target: np.ndarray) -> float:
    """Return the estimated fraction of wrong labels, from the calibrated confident joint.

    Each row of the joint is scaled to the number of images with that label, so that images in no cell count
    like the others (equation 3 of the paper).
    """
    support = np.bincount(target, minlength=len(errors.joint))
    counted = errors.joint.sum(1)
    correct = np.where(counted > 0, errors.joint.diagonal() / np.maximum(counted, 1), 1.0)
    return float((support * (1 - correct)).sum() / max(1, support.sum()))


def is_outvoted(target: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return which labels have fewer votes than another emotion, bool ``(N,)``; not those of a tie."""
    return votes[np.arange(len(target)), target] < votes.max(1)


def precision_at_k(
    errors: LabelErrors, target: np.ndarray, votes: np.ndarray, k: int = TOP_CANDIDATES
) -> Estimate:
    """Return the fraction of the first ``k`` candidates whose label is outvoted by human votes.

    Args:
        errors: Candidates.
        target: int ``(N,)``, labels of the data set.
        votes: ``(N, K)``, a row of 0 where an image has none. Such candidates are left out and not replaced.
        k: Number of candidates.
    """
    return _outvoted_proportion(errors.rows[:k], target, votes)


def base_rate(target: np.ndarray, votes: np.ndarray) -> Estimate:
    """Return the fraction of all labels that are outvoted: the precision of random candidates."""
    return _outvoted_proportion(np.arange(len(target)), target, votes)


def _outvoted_proportion(rows: np.ndarray, target: np.ndarray, votes: np.ndarray) -> Estimate:
    rows = rows[votes[rows].sum(1) > 0]
    return proportion(int(is_outvoted(target[rows], votes[rows]).sum()), len(rows))


def label_errors_section(predictions: Predictions, images: Images) -> Section:
    """Return the section on probable label errors: how many, which, and whether human votes confirm them.

    Args:
        predictions: Of a split that the model was not trained on.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
    """
    errors = find_label_errors(predictions.target, predictions.probs)
    numbers: dict[str, Any] = {
        "candidates": len(errors),
        "estimated_noise": estimate_label_noise(errors, predictions.target),
        "thresholds": dict(zip(predictions.labels.names, errors.thresholds.tolist(), strict=True)),
        "confident_joint": errors.joint,
        "first": predictions.index[errors.rows[:_LISTED]],
    }
    if predictions.votes is not None:
        target, votes = predictions.target, predictions.votes
        numbers[f"precision_at_{TOP_CANDIDATES}"] = precision_at_k(errors, target, votes)
        numbers["base_rate"] = base_rate(target, votes)
    plots = [_plot(predictions, images, errors)] if len(errors) else []
    paragraphs = _paragraphs(predictions, numbers)
    return Section(
        "label_errors", "Probable label errors", paragraphs, [_table(predictions, errors)], plots, numbers
    )


def _paragraphs(predictions: Predictions, numbers: dict[str, Any]) -> list[str]:
    paragraphs = [
        f"Confident learning finds {numbers['candidates']:,} probable label errors among "
        f"{len(predictions):,} images. It estimates that {format_percent(numbers['estimated_noise'])} of the "
        "labels are wrong. This is rather too high, as confident errors of the model count too."
    ]
    if predictions.votes is not None:
        precision, base = numbers[f"precision_at_{TOP_CANDIDATES}"], numbers["base_rate"]
        paragraphs.append(
            f"Checked against human votes: {format_proportion(precision)} of the {precision.n:,} top "
            f"candidates with votes are outvoted by another emotion, against {format_proportion(base)} of "
            "all labels."
        )
    if predictions.about.get("role") in ("train", "all"):
        paragraphs.append(
            "The model was trained on some of these images and may have memorised their labels."
        )
    return paragraphs


def _table(predictions: Predictions, errors: LabelErrors) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            str(predictions.source[row]),
            predictions.labels.names[predictions.target[row]],
            format_percent(float(predictions.probs[row, predictions.target[row]])),
            predictions.labels.names[likely],
            format_percent(float(predictions.probs[row, likely])),
            _format_votes(predictions, row),
        )
        for row, likely in zip(errors.rows[:10].tolist(), errors.likely[:10].tolist(), strict=True)
    ]
    columns = ("image", "label", "its probability", "likely label", "probability", "human votes")
    return Table(columns, rows, "The ten most probable label errors; metrics.json lists a hundred.")


def _format_votes(predictions: Predictions, row: int) -> str | None:
    """Return the emotion with the most votes and its fraction, ``"sad 80 %"``; None without votes."""
    if predictions.votes is None or not predictions.votes[row].any():
        return None
    majority = int(predictions.votes[row].argmax())
    return f"{predictions.labels.names[majority]} {format_percent(float(predictions.votes[row, majority]))}"


def _plot(predictions: Predictions, images: Images, errors: LabelErrors) -> Plot:
    rows = errors.rows[:_SHOWN]
    likely = errors.likely[:_SHOWN].tolist()
    captions = [_caption(predictions, *pair) for pair in zip(rows.tolist(), likely, strict=True)]
    title, subtitle = "Probable label errors", "most probable first"
    fig = plot_contact_sheet([ImageStrip("", images[rows], captions)], _COLUMNS, title, subtitle)
    alt = f"{len(rows)} faces with a probable label error"
    caption = f"The {len(rows)} most probable of {len(errors):,} candidates, by normalised margin."
    return Plot("label_errors", png_bytes(fig), alt, caption)


def _caption(predictions: Predictions, row: int, likely: int) -> list[str]:
    names = predictions.labels.names
    likely_label = f"likely {names[likely]} {format_percent(float(predictions.probs[row, likely]))}"
    votes = [] if predictions.votes is None else [f"votes {_format_votes(predictions, row) or 'none'}"]
    return [f"label {names[predictions.target[row]]}", likely_label, *votes]
