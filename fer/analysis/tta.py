"""The report section on test-time augmentation: the scores with and without it."""

from collections.abc import Mapping

from fer.analysis.figure import Estimate, format_cells
from fer.analysis.scores import OVERALL
from fer.analysis.section import Cell, Section, Table

_NUM_VIEWS = {"flip": 2, "ten-crop": 10}


def tta_section(tta: str, plain: Mapping[str, Estimate], augmented: Mapping[str, Estimate]) -> Section:
    """Return the section that compares both scores of a model on the same images.

    Args:
        tta: The augmentation; one of `fer.scoring.TTA`.
        plain: What `fer.analysis.scores.score` returned without augmentation.
        augmented: The same for the mean probabilities over the augmented views.
    """
    rows: list[tuple[Cell, ...]] = [
        (title, *format_cells(plain[key], percent)[:2], *format_cells(augmented[key], percent)[:2])
        for key, (title, percent) in OVERALL.items()
    ]
    views = _NUM_VIEWS[tta]
    paragraph = (
        f"The scores in this report use test-time augmentation ({tta}): the mean of the probabilities over "
        f"{views} views of each image, at {views} times the cost. Compare them only with scores that use the "
        "same augmentation. Temperature and thresholds in the section Calibration are of the model without "
        "it."
    )
    columns = ("metric", "without", "95 % interval", f"with {tta}", "95 % interval with TTA")
    table = Table(columns, rows, f"The same {augmented['accuracy'].n:,} images, without and with {tta}.")
    numbers = {"tta": tta, "plain": dict(plain), "augmented": dict(augmented)}
    return Section("tta", "Test-time augmentation", [paragraph], [table], [], numbers)
