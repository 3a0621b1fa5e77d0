"""The chapter of a report on confidence: calibration before and after, and when to abstain."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer.analysis.calibration_plots import plot_reliability, plot_risk_coverage
from fer.analysis.confidence import (
    calibrate,
    calibrated_probs,
    calibration_figures,
    is_cross_fitted,
    is_fitted_here,
    judged,
)
from fer.analysis.figure import Figure, cells
from fer.analysis.intervals import wilson
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Cell, Picture, Section, Table
from fer.analysis.selective import COVERAGES, Threshold, best_aurc
from fer.analysis.temperature import (
    COOLEST,
    FOLDS,
    HOTTEST,
    Calibration,
    read_temperature,
    scaled_probs,
    write_temperature,
)

__all__ = ["Calibration", "calibrate", "read_temperature", "section", "write_temperature"]

# Score -> how people call it, and whether it is shown in percent
SHOWN = {
    "ece_mass": ("ECE, bins of equal mass", True),
    "ece_debiased": ("ECE less its bias by chance", True),
    "ece_width": ("ECE, bins of equal width", True),
    "log_loss": ("Log loss, nats", False),
    "brier": ("Brier score, 0 to 2", False),
    "aurc": ("AURC (mean risk over all coverages)", False),
}


def section(
    predictions: Predictions, calibration: Calibration | None, resamples: int = 2000, seed: int = 0
) -> Section:
    """Tell how far the confidence can be trusted.

    On the validation split the figures after calibration are cross-fitted; on any other the temperature and
    the thresholds come from validation as they are.

    Args:
        predictions: Of any split.
        calibration: What `calibrate` fitted on the validation split; None where that has not been done.
        resamples: Draws of the bootstrap.
        seed: Seed of draws and folds.
    """
    target, before = predictions.target, scaled_probs(predictions.logits, 1.0)
    probs = {"before": before}
    if calibration is not None:
        probs["after"] = calibrated_probs(predictions, calibration, seed)
    figures = {when: calibration_figures(target, p, resamples, seed) for when, p in probs.items()}
    thresholds = () if calibration is None else calibration.thresholds
    last = list(probs.values())[-1]
    held = [_as_measured(threshold, *judged(last, target)) for threshold in thresholds]
    return Section(
        key="calibration",
        title="Calibration",
        words=_words(predictions, calibration, figures),
        tables=[_figure_table(figures), *([_threshold_table(thresholds, held)] if thresholds else [])],
        pictures=_pictures(predictions, calibration, probs),
        numbers={
            "temperature": None if calibration is None else calibration.temperature,
            "cross_fitted": calibration is not None and is_cross_fitted(predictions, calibration),
            "best_aurc": best_aurc(judged(last, target)[1]),
            "thresholds": [{"promised": t, "here": h} for t, h in zip(thresholds, held, strict=True)],
            **figures,
        },
    )


def _as_measured(threshold: Threshold, confidence: np.ndarray, correct: np.ndarray) -> Figure:
    """Return the accuracy among the images here that a threshold answers; n is their number."""
    if threshold.confidence is None:
        return Figure(None, None, None, 0, "no threshold reaches it on validation")
    answered = confidence >= threshold.confidence
    hits, count = int(correct[answered].sum()), int(answered.sum())
    if count == 0:
        return Figure(None, None, None, 0, "no image is as sure")
    return Figure(hits / count, *wilson(hits, count), count)


def _words(
    predictions: Predictions, calibration: Calibration | None, figures: Mapping[str, Mapping[str, Figure]]
) -> list[str]:
    """Say what was fitted where, what it did, and what the intervals are."""
    intervals = (
        "Intervals are from a bootstrap that draws images anew within each emotion. Resampling inflates a "
        "calibration error, so its interval is the upper side of the draws mirrored, and starts at 0 where "
        "chance alone gives errors as large."
    )
    if calibration is None:
        advice = (
            "An ensemble has a temperature on its validation split alone, where it is fitted (--split val); "
            "here its probabilities are the plain mean of its members'."
            if "members" in predictions.about
            else "There is no temperature for these weights, and none is fitted on this split, as that would "
            "flatter it. Evaluating the validation split first (--split val) fits and stores one."
        )
        return [advice, intervals]
    return [_fitted(predictions, calibration), _change(figures), intervals, *_at_the_end(calibration)]


def _fitted(predictions: Predictions, calibration: Calibration) -> str:
    told = (
        f"One temperature, T = {calibration.temperature:.3f} (95 % interval {calibration.low:.3f} to "
        f"{calibration.high:.3f}), was fitted on {calibration.n:,} validation images ({calibration.split}): "
        "logits are divided by it, which changes no prediction (Guo et al. 2017). "
        f"{_sureness(calibration)}"
    )
    if is_cross_fitted(predictions, calibration):
        return told + (
            f" These are the same images, so the figures after it are cross-fitted: {FOLDS} parts, each "
            "judged at the temperature of the others."
        )
    return f"{told} It is used here as it is; {_kinship(predictions, calibration)}."


def _kinship(predictions: Predictions, calibration: Calibration) -> str:
    """Say what images that are not cross-fitted have to do with those that the temperature was fitted on."""
    about = predictions.about
    if is_fitted_here(predictions, calibration):
        return f"it was fitted on these same images, too few for {FOLDS} parts"
    if about["role"] == "all" and not about.get("other_data"):
        return "the images it was fitted on are among these"
    seen = about.get("seen", {}).get("val")
    if seen is None:
        return "whether it was fitted on some of these images is not known"
    return f"it was fitted on {seen:,} of these images" if seen else "nothing was fitted on these images"


def _sureness(calibration: Calibration) -> str:
    if calibration.low > 1:
        return "Above 1, the model was too sure of itself before."
    if calibration.high < 1:
        return "Below 1, the model was not sure enough of itself before."
    return "It cannot be told from 1, which is no change."


def _change(figures: Mapping[str, Mapping[str, Figure]]) -> str:
    before, after = (figures[when]["ece_mass"] for when in ("before", "after"))
    assert before.value is not None
    assert after.value is not None
    told = f"Calibration error (bins of equal mass): {_percent(before)} before, {_percent(after)} after."
    if after.low == 0:
        told += f" With {after.n:,} images, what remains cannot be told from chance."
    elif after.value >= before.value:
        told += " It did not fall: what is wrong is not what one temperature can mend."
    return told


def _percent(figure: Figure) -> str:
    value, interval, _ = cells(figure)
    return f"{value} [{interval}]"


def _at_the_end(calibration: Calibration) -> list[str]:
    """Warn of a temperature that no likelihood chose."""
    if COOLEST < calibration.temperature < HOTTEST:
        return []
    return ["The temperature is at the end of its range, so no temperature fits: judge it by the diagram."]


def _figure_table(figures: Mapping[str, Mapping[str, Figure]]) -> Table:
    heads = [head for when in figures for head in (when, "95 % interval")]
    rows: list[tuple[Cell, ...]] = []
    for key, (words, percent) in SHOWN.items():
        found = [figures[when][key] for when in figures]
        rows.append((words, *(cell for f in found for cell in cells(f, percent)[:2]), found[0].n))
    return Table(
        ("metric", *heads, "n"), rows, "Before and after temperature scaling; lower is better in all."
    )


def _threshold_table(thresholds: Sequence[Threshold], held: Sequence[Figure]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for threshold, here in zip(thresholds, held, strict=True):
        promise: tuple[Cell, ...] = ("cannot be reached", None, None)
        if threshold.coverage is not None and threshold.low is not None:
            promise = (
                f"{threshold.confidence:.4f}",
                f"{100 * threshold.coverage:.1f} %",
                f"{100 * threshold.low:.1f} %",
            )
        rows.append((f"{100 * threshold.wanted:.0f} %", *promise, *cells(here)))
    columns = ("wanted accuracy", "answer from confidence", "coverage", "at least", "accuracy here")
    caption = (
        "Abstaining below a confidence. Confidence, coverage and the least accuracy (one-sided, exact, 95 % "
        f"over all {len(COVERAGES)} candidates) are those of validation, whose images chose them; n is the "
        "images answered here."
    )
    return Table((*columns, "95 % interval", "n"), rows, caption)


def _pictures(
    predictions: Predictions, calibration: Calibration | None, probs: Mapping[str, np.ndarray]
) -> list[Picture]:
    """Draw the reliability diagram, and accuracy against coverage of the last of ``probs``."""
    n, target = len(predictions), predictions.target
    heads = {"before": "Before", "after": "After temperature scaling"}
    panels = {heads[when]: judged(p, target) for when, p in probs.items()}
    diagram = png_bytes(plot_reliability(panels, "Reliability: is it as often right as it is sure?"))
    thresholds = () if calibration is None else calibration.thresholds
    confidence, correct = list(panels.values())[-1]
    curve = png_bytes(
        plot_risk_coverage(confidence, correct, thresholds, "Accuracy if only the sure are answered")
    )
    return [
        Picture(
            "reliability", diagram, "Accuracy against confidence in bins, before and after scaling.",
            f"Dots on the diagonal are calibrated; {n:,} images.",
        ),
        Picture(
            "risk_coverage", curve, "Accuracy among the answered images against the share that is answered.",
            f"The risk-coverage curve, risk being 1 - accuracy; {n:,} images.",
        ),
    ]  # fmt: skip
