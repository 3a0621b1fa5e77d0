"""Test-time augmentation beside the plain score: what it gains, and what it costs."""

from collections.abc import Mapping

from fer.analysis.figure import Figure, cells
from fer.analysis.scores import OVERALL
from fer.analysis.section import Cell, Section, Table

_VIEWS = {"flip": 2, "ten-crop": 10}


def section(tta: str, plain: Mapping[str, Figure], augmented: Mapping[str, Figure]) -> Section:
    """Tell both scores of a model, image by image the same.

    Args:
        tta: Which augmentation; one of `fer.scoring.TTA`.
        plain: What `fer.analysis.scores.score` returned for the plain images.
        augmented: The same for the mean probabilities over the views.
    """
    rows: list[tuple[Cell, ...]] = [
        (words, *cells(plain[key], percent)[:2], *cells(augmented[key], percent)[:2])
        for key, (words, percent) in OVERALL.items()
    ]
    words = (
        f"The figures of this report are with test-time augmentation ({tta}): the mean of the probabilities "
        f"over {_VIEWS[tta]} views of each image, at {_VIEWS[tta]} times the cost. Compare them with others "
        "of the same kind only. Temperature and thresholds under Calibration are of the plain model."
    )
    columns = ("metric", "plain", "95 % interval", tta, "95 % interval with it")
    table = Table(columns, rows, f"The same {augmented['accuracy'].n:,} images, without and with {tta}.")
    numbers = {"tta": tta, "plain": dict(plain), "augmented": dict(augmented)}
    return Section("tta", "Test-time augmentation", [words], [table], [], numbers)
