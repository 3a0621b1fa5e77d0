"""Images whose label is probably wrong, by confident learning: no second annotation is needed.

Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068. A class's threshold is the mean
probability that the model gives it on the images labelled so. An image is counted as the class whose
threshold it reaches, the most probable of several; where that is not its label it is a candidate. Candidates
are ranked by the normalised margin, the probability of the label minus the largest of the others.

The predictions must be out of sample: a model may know the labels that it was trained on by heart, wrong ones
too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.contact_sheet import Strip, plot_contact_sheet
from fer.analysis.figure import Figure
from fer.analysis.images import Images
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Picture, Section, Table
from fer.analysis.share import in_words, percent, share

TOP = 100  # a person can look through as many
_SHOWN, _COLUMNS, _LISTED = 25, 5, 100


@dataclass(frozen=True)
class LabelErrors:
    """Candidates for a wrong label, the most probable first.

    Attributes:
        rows: int64 ``(n,)``, positions in the predictions.
        likely: int64 ``(n,)``, the class that each is counted as.
        margins: float64 ``(n,)`` in [-1, 1], probability of the label minus the largest of the others;
            ascending.
        thresholds: float64 ``(K,)``, the mean probability of each class on its own images; infinite for a
            class without an image, as nothing is counted as it.
        joint: int64 ``(K, K)``, the confident joint: a row a label, a column the class counted. Images below
            all thresholds are in no cell.
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
    """Rank the images that are confidently another class than their label says.

    Args:
        target: int ``(N,)``, labels as given, 0 to K - 1.
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
    """Return the mean probability of each class on the images labelled so, ``(K,)``; infinity without one."""
    num_classes = probs.shape[1]
    support = np.bincount(target, minlength=num_classes)
    own = np.bincount(target, weights=probs[np.arange(len(target)), target], minlength=num_classes)
    return np.where(support > 0, own / np.maximum(support, 1), np.inf)


def normalised_margins(target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return the probability of the label minus the largest of the others, ``(n,)`` in [-1, 1]."""
    rows = np.arange(len(target))
    others = probs.copy()
    others[rows, target] = -np.inf
    return probs[rows, target] - others.max(1)


def estimated_noise(errors: LabelErrors, target: np.ndarray) -> float:
    """Return the share of labels that are wrong, as the calibrated confident joint estimates it.

    Each row of the joint is scaled to the number of images with that label, so that those in no cell count
    like the others (equation 3 of the paper).
    """
    support = np.bincount(target, minlength=len(errors.joint))
    counted = errors.joint.sum(1)
    kept = np.where(counted > 0, errors.joint.diagonal() / np.maximum(counted, 1), 1.0)
    return float((support * (1 - kept)).sum() / max(1, support.sum()))


def outvoted(target: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return which labels have fewer votes than another emotion, bool ``(N,)``; a tie is for the label."""
    return votes[np.arange(len(target)), target] < votes.max(1)


def precision_at(errors: LabelErrors, target: np.ndarray, votes: np.ndarray, top: int = TOP) -> Figure:
    """Return the share of the first ``top`` candidates whose label the voters disagree with.

    Args:
        errors: Candidates.
        target: int ``(N,)``, labels as given.
        votes: ``(N, K)``, a row of 0 where an image has none; these candidates are left out, and the next
            ones do not move up.
        top: Candidates that are looked at.
    """
    return _share_outvoted(errors.rows[:top], target, votes)


def base_rate(target: np.ndarray, votes: np.ndarray) -> Figure:
    """Return the same share of all images: what picking blindly would find."""
    return _share_outvoted(np.arange(len(target)), target, votes)


def _share_outvoted(rows: np.ndarray, target: np.ndarray, votes: np.ndarray) -> Figure:
    rows = rows[votes[rows].sum(1) > 0]
    return share(int(outvoted(target[rows], votes[rows]).sum()), len(rows))


def section(predictions: Predictions, images: Images) -> Section:
    """Return the chapter: how many labels are in doubt, which, and whether human voters agree.

    Args:
        predictions: Of a split that the model was not trained on.
        images: uint8 ``(N, H, W, C)``, the images of the predictions, in their order.
    """
    errors = find_label_errors(predictions.target, predictions.probs)
    numbers: dict[str, Any] = {
        "candidates": len(errors),
        "estimated_noise": estimated_noise(errors, predictions.target),
        "thresholds": dict(zip(predictions.labels.names, errors.thresholds.tolist(), strict=True)),
        "confident_joint": errors.joint,
        "first": predictions.index[errors.rows[:_LISTED]],
    }
    if predictions.votes is not None:
        checked = (predictions.target, predictions.votes)
        numbers |= {f"precision_at_{TOP}": precision_at(errors, *checked), "base_rate": base_rate(*checked)}
    pictures = [_picture(predictions, images, errors)] if len(errors) else []
    words = _words(predictions, numbers)
    return Section(
        "label_errors", "Probable label errors", words, [_table(predictions, errors)], pictures, numbers
    )


def _words(predictions: Predictions, numbers: dict[str, Any]) -> list[str]:
    words = [
        f"Confident learning doubts {numbers['candidates']:,} of {len(predictions):,} labels. It puts the "
        f"share of wrong labels at {percent(numbers['estimated_noise'])}: an upper guess, as confident "
        "errors of the model count too."
    ]
    if predictions.votes is not None:
        found, base = numbers[f"precision_at_{TOP}"], numbers["base_rate"]
        words.append(
            f"Checked against human votes: of the {found.n:,} most doubtful labels that have votes, "
            f"{in_words(found)} are outvoted by another emotion; of all labels it is {in_words(base)}."
        )
    if predictions.about.get("role") in ("train", "all"):
        words.append("Images that were trained on are among these: their labels may be known by heart.")
    return words


def _table(predictions: Predictions, errors: LabelErrors) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            str(predictions.source[row]),
            predictions.labels.names[predictions.target[row]],
            percent(float(predictions.probs[row, predictions.target[row]])),
            predictions.labels.names[likely],
            percent(float(predictions.probs[row, likely])),
            _votes_in_words(predictions, row),
        )
        for row, likely in zip(errors.rows[:10].tolist(), errors.likely[:10].tolist(), strict=True)
    ]
    columns = ("image", "label", "its probability", "likely", "probability", "human votes")
    return Table(columns, rows, "The ten most doubtful labels; metrics.json names a hundred.")


def _votes_in_words(predictions: Predictions, row: int) -> str | None:
    """Return the emotion with the most votes and its share, ``"sad 80 %"``; None where there are no votes."""
    if predictions.votes is None or not predictions.votes[row].any():
        return None
    most = int(predictions.votes[row].argmax())
    return f"{predictions.labels.names[most]} {percent(float(predictions.votes[row, most]))}"


def _picture(predictions: Predictions, images: Images, errors: LabelErrors) -> Picture:
    rows = errors.rows[:_SHOWN]
    likely = errors.likely[:_SHOWN].tolist()
    captions = [_caption(predictions, *pair) for pair in zip(rows.tolist(), likely, strict=True)]
    title, subtitle = "Labels that are probably wrong", "the most doubtful first"
    fig = plot_contact_sheet([Strip("", images[rows], captions)], _COLUMNS, title, subtitle)
    alt = f"{len(rows)} faces whose label the model doubts"
    caption = f"The {len(rows)} most doubtful of {len(errors):,} candidates, by normalised margin."
    return Picture("label_errors", png_bytes(fig), alt, caption)


def _caption(predictions: Predictions, row: int, likely: int) -> list[str]:
    names = predictions.labels.names
    said = f"said {names[likely]} {percent(float(predictions.probs[row, likely]))}"
    votes = [] if predictions.votes is None else [f"votes {_votes_in_words(predictions, row) or 'none'}"]
    return [f"label {names[predictions.target[row]]}", said, *votes]
