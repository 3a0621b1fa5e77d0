"""The report section on disagreements: images to which two candidates give different emotions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fer.analysis.metrics.comparison import Candidate, RankedCandidates
from fer.analysis.metrics.estimate import format_percent
from fer.analysis.metrics.matching import MatchedImages
from fer.analysis.plots.images import ImageStrip, plot_contact_sheet
from fer.analysis.plots.style import png_bytes
from fer.analysis.report.document import Plot, Section
from fer.core.errors import FerError
from fer.core.text import counted, percent

# Candidates that the best one is shown against
_NUM_OTHERS = 2
# Images in a row of the contact sheet, for each kind of disagreement
_COLUMNS = 6
# Returns images by row of `MatchedImages`: uint8 (n, H, W, C)
LoadImages = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Disagreement:
    """Images on which A and B disagree.

    Attributes:
        title: Of the strip of images.
        rows: int64 ``(n,)``, most confident first.
    """

    title: str
    rows: np.ndarray


def disagreements_section(ranking: RankedCandidates, images: MatchedImages, load: LoadImages) -> Section:
    """Return the section with images on which the best candidate and the next ones disagree.

    The emotion of several seeds is that of their mean probabilities.

    Args:
        ranking: Candidates, best first.
        images: The images of the comparison.
        load: Returns images by their rows; `FerError` if they cannot be read.
    """
    best, *others = ranking.candidates
    key, paragraphs, plots, numbers = "disagreements", [], [], []
    for number, other in enumerate(others[:_NUM_OTHERS], 1):
        groups = _find_disagreements(images, best, other)
        paragraphs.append(_sentence(best, other, groups, len(images.target)))
        only_a, only_b, neither = (len(group.rows) for group in groups)
        names = best.name, other.name
        numbers.append({"names": names, "only_a": only_a, "only_b": only_b, "neither": neither})
        try:
            plots += _plot(f"{key}_{number}", images, (best, other), groups, load)
        except FerError as error:
            paragraphs.append(f"The images are not shown. {error}")
            break
    return Section(key, "Disagreements", paragraphs, plots=plots, numbers={"pairs": numbers})


def _mean_probs(images: MatchedImages, candidate: Candidate) -> np.ndarray:
    return np.mean([images.probs[member] for member in candidate.members], axis=0)


def _find_disagreements(images: MatchedImages, a: Candidate, b: Candidate) -> list[_Disagreement]:
    """Return the images that only A classifies correctly, those of B, and those that both get wrong."""
    probs = [_mean_probs(images, candidate) for candidate in (a, b)]
    preds = [one.argmax(1) for one in probs]
    right = [one == images.target for one in preds]
    confidence = probs[0].max(1) + probs[1].max(1)
    masks = {
        "only A correct": right[0] & ~right[1],
        "only B correct": right[1] & ~right[0],
        "both wrong, with different emotions": ~right[0] & ~right[1] & (preds[0] != preds[1]),
    }
    groups = []
    for title, mask in masks.items():
        rows = np.flatnonzero(mask)
        groups.append(_Disagreement(title, rows[np.argsort(-confidence[rows], kind="stable")]))
    return groups


def _sentence(a: Candidate, b: Candidate, groups: Sequence[_Disagreement], total: int) -> str:
    only_a, only_b, neither = (len(group.rows) for group in groups)
    count = only_a + only_b + neither
    if not count:
        return f"{a.name} (A) and {b.name} (B) give the same emotion to all {total:,} images."
    return (
        f"{a.name} (A) and {b.name} (B) give different emotions to {count:,} of {counted(total, 'image')} "
        f"({percent(count / total)}): only A is correct on {only_a:,}, only B on {only_b:,}, and neither on "
        f"{neither:,}."
    )


def _plot(
    name: str,
    images: MatchedImages,
    pair: tuple[Candidate, Candidate],
    groups: Sequence[_Disagreement],
    load: LoadImages,
) -> list[Plot]:
    """Return a contact sheet with a row for each kind of disagreement; none if there are no images."""
    probs = [_mean_probs(images, candidate) for candidate in pair]
    strips = []
    for group in groups:
        shown = group.rows[:_COLUMNS]
        if len(shown):
            captions = [_caption(images, probs, row) for row in shown.tolist()]
            heading = f"{group.title}  ·  {counted(len(group.rows), 'image')}"
            strips.append(ImageStrip(heading, load(shown), captions))
    if not strips:
        return []
    a, b = (candidate.name for candidate in pair)
    title, subtitle = "Images on which two models disagree", f"A: {a}   B: {b}   highest confidence first"
    figure = plot_contact_sheet(strips, _COLUMNS, title, subtitle)
    alt = f"Rows of faces on which {a} and {b} disagree, each with its label and both predictions"
    return [Plot(name, png_bytes(figure), alt, f"Up to {_COLUMNS} images of each kind. A: {a}. B: {b}.")]


def _caption(images: MatchedImages, probs: Sequence[np.ndarray], row: int) -> list[str]:
    """Return e.g. ``["true happy", "A sad 93 %", "B happy 80 %"]``."""
    names = images.labels.names
    lines = [f"true {names[images.target[row]]}"]
    for letter, one in zip("AB", probs, strict=True):
        predicted = int(one[row].argmax())
        lines.append(f"{letter} {names[predicted]} {format_percent(float(one[row, predicted]))}")
    return lines
