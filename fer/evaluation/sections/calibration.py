"""The report section on calibration: temperature scaling, calibration error and confidence thresholds."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer.analysis.about import About
from fer.analysis.metrics.calibration import (
    calibrated_probs,
    calibration_estimates,
    confidence_and_correct,
    is_cross_fitted,
    is_fitted_on,
)
from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.metrics.estimate import Estimate, format_cells, proportion
from fer.analysis.metrics.selective import COVERAGES, Threshold, best_aurc
from fer.analysis.metrics.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, NUM_FOLDS, scaled_probs
from fer.analysis.plots.calibration import plot_reliability, plot_risk_coverage
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.core.text import percent

# Metric -> display name, and whether it is shown in percent
_METRICS = {
    "ece_mass": ("ECE, bins of equal mass", True),
    "ece_debiased": ("ECE, bias-corrected", True),
    "ece_width": ("ECE, bins of equal width", True),
    "log_loss": ("Log loss, nats", False),
    "brier": ("Brier score, 0 to 2", False),
    "aurc": ("AURC (mean risk over all coverages)", False),
}


def calibration_section(predictions: Predictions, calibration: Calibration | None) -> Section:
    """Return the section on how well the confidence matches the accuracy.

    On the validation split the values after calibration are cross-fitted. On any other split the temperature
    and the thresholds fitted on validation are used unchanged.
    """
    target, probs = predictions.target, {"before": scaled_probs(predictions.logits, 1.0)}
    if calibration is not None:
        probs["after"] = calibrated_probs(predictions, calibration)
    estimates = {stage: calibration_estimates(target, p) for stage, p in probs.items()}
    confident = {stage: confidence_and_correct(p, target) for stage, p in probs.items()}
    thresholds = () if calibration is None else calibration.thresholds
    confidence, correct = list(confident.values())[-1]
    measured = [_accuracy_above(threshold, confidence, correct) for threshold in thresholds]
    threshold_tables = [_threshold_table(thresholds, measured)] if thresholds else []
    return Section(
        key="calibration",
        title="Calibration",
        paragraphs=_paragraphs(predictions, calibration, estimates),
        tables=[_metric_table(estimates), *threshold_tables],
        plots=_plots(confident, thresholds),
        numbers={
            "temperature": None if calibration is None else calibration.temperature,
            "cross_fitted": calibration is not None and is_cross_fitted(predictions, calibration),
            "best_aurc": best_aurc(correct),
            "thresholds": [{"promised": t, "here": m} for t, m in zip(thresholds, measured, strict=True)],
            **estimates,
        },
    )


def _accuracy_above(threshold: Threshold, confidence: np.ndarray, correct: np.ndarray) -> Estimate:
    """Return the accuracy on the images whose confidence reaches a threshold; n is their number."""
    if threshold.confidence is None:
        return Estimate(None, None, None, 0, "no threshold reaches this accuracy on validation")
    answered = confidence >= threshold.confidence
    hits, count = int(correct[answered].sum()), int(answered.sum())
    if count == 0:
        return Estimate(None, None, None, 0, "no image reaches this confidence")
    return proportion(hits, count)


def _paragraphs(
    predictions: Predictions, calibration: Calibration | None, estimates: Mapping[str, Mapping[str, Estimate]]
) -> list[str]:
    """Return the text: where the temperature was fitted, its effect, and how to read the intervals."""
    intervals = (
        "Intervals are from a bootstrap that resamples images within each emotion. Resampling inflates a "
        "calibration error, so the lower end of its interval is not a percentile: it is as far below the "
        "value as the upper end is above it, or 0 if chance alone gives errors as large."
    )
    if calibration is None:
        return [_without_temperature(predictions.about), intervals]
    paragraphs = [_temperature_text(predictions, calibration), _effect_text(estimates), intervals]
    if not MIN_TEMPERATURE < calibration.temperature < MAX_TEMPERATURE:
        paragraphs.append(
            "The temperature is at the limit of its range, so no temperature fits well. Check the "
            "reliability diagram."
        )
    return paragraphs


def _without_temperature(about: About) -> str:
    """Return why no temperature is applied."""
    if about.members:
        return (
            "An ensemble has a temperature only on its validation split, where it is fitted (--split val). "
            "Here its probabilities are the plain mean over its members."
        )
    if about.exported:
        return (
            "The probabilities of the file are scored as they are. A bundle has its temperature in the file; "
            "whether a foreign file is calibrated is what this section shows."
        )
    return (
        "There is no temperature for these weights. Fitting one on this split would bias the result, so none "
        "is fitted. Evaluate the validation split first (--split val) to fit and store one."
    )


def _temperature_text(predictions: Predictions, calibration: Calibration) -> str:
    text = (
        f"One temperature, T = {calibration.temperature:.3f} (95 % interval {calibration.low:.3f} to "
        f"{calibration.high:.3f}), was fitted on {calibration.n:,} validation images ({calibration.split}). "
        "Logits are divided by it, which changes no predicted class (Guo et al. 2017). "
        f"{_confidence_text(calibration)}"
    )
    if is_cross_fitted(predictions, calibration):
        return text + (
            f" These are the same images, so the values after scaling are cross-fitted: {NUM_FOLDS} folds, "
            "each evaluated at the temperature fitted on the others."
        )
    return f"{text} It is used here unchanged; {_overlap_text(predictions, calibration)}."


def _overlap_text(predictions: Predictions, calibration: Calibration) -> str:
    """Return how these images overlap with those that the temperature was fitted on, if not cross-fitted."""
    about = predictions.about
    if is_fitted_on(predictions, calibration):
        return f"it was fitted on these same images, too few for {NUM_FOLDS} folds"
    if about.role == "all" and not about.other_data:
        return "these images include the ones it was fitted on"
    seen = about.seen.get("val")
    if seen is None:
        return "whether it was fitted on some of these images is unknown"
    return f"it was fitted on {seen:,} of these images" if seen else "it was fitted on none of these images"


def _confidence_text(calibration: Calibration) -> str:
    if calibration.low > 1:
        return "It is above 1: the model was overconfident."
    if calibration.high < 1:
        return "It is below 1: the model was underconfident."
    return "It does not differ significantly from 1, which means no change."


def _effect_text(estimates: Mapping[str, Mapping[str, Estimate]]) -> str:
    before, after = (estimates[stage]["ece_mass"] for stage in ("before", "after"))
    show = (f"{value} [{interval}]" for value, interval, _ in (format_cells(before), format_cells(after)))
    text = "Calibration error (bins of equal mass): {} before, {} after.".format(*show)
    if after.low == 0:
        text += f" With {after.n:,} images, the remaining error cannot be distinguished from chance."
    elif (after.value or 0) >= (before.value or 0):
        text += " It did not decrease: a single temperature cannot correct this miscalibration."
    return text


def _metric_table(estimates: Mapping[str, Mapping[str, Estimate]]) -> Table:
    heads = [head for stage in estimates for head in (stage, "95 % interval")]
    rows: list[tuple[Cell, ...]] = []
    for key, (title, in_percent) in _METRICS.items():
        stages = [estimates[stage][key] for stage in estimates]
        rows.append((title, *(cell for e in stages for cell in format_cells(e, in_percent)[:2]), stages[0].n))
    caption = "Before and after temperature scaling; lower is better for all metrics."
    return Table(("metric", *heads, "n"), rows, caption, "metrics")


def _threshold_table(thresholds: Sequence[Threshold], measured: Sequence[Estimate]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for threshold, accuracy in zip(thresholds, measured, strict=True):
        validation: tuple[Cell, ...] = ("cannot be reached", None, None)
        if threshold.coverage is not None and threshold.low is not None:
            reached = percent(threshold.coverage), percent(threshold.low)
            validation = (f"{threshold.confidence:.4f}", *reached)
        rows.append((percent(threshold.wanted, 0), *validation, *format_cells(accuracy)))
    columns = ("target accuracy", "confidence threshold", "coverage", "accuracy at least", "accuracy here")
    caption = (
        "Abstaining below a confidence threshold. Threshold, coverage and the lower bound of the accuracy "
        f"(one-sided, exact, 95 % over all {len(COVERAGES)} candidates) are from validation, which selected "
        "them. n is the number of images answered here."
    )
    return Table((*columns, "95 % interval", "n"), rows, caption, "thresholds")


def _plots(
    confident: Mapping[str, tuple[np.ndarray, np.ndarray]], thresholds: Sequence[Threshold]
) -> list[Plot]:
    """Return the reliability diagram, and accuracy against coverage at the last stage."""
    titles = {"before": "Before", "after": "After temperature scaling"}
    panels = {titles[stage]: arrays for stage, arrays in confident.items()}
    confidence, correct = list(panels.values())[-1]
    diagram = plot_reliability(panels, "Reliability: accuracy against confidence")
    title = "Accuracy when answering only confident images"
    curve = plot_risk_coverage(confidence, correct, thresholds, title)
    return [
        Plot(
            "reliability",
            png_bytes(diagram),
            "Accuracy against confidence in bins, before and after scaling.",
            f"Points on the diagonal are calibrated; {len(correct):,} images.",
        ),
        Plot(
            "risk_coverage",
            png_bytes(curve),
            "Accuracy on the answered images against the proportion answered.",
            f"The risk-coverage curve, where risk = 1 - accuracy; {len(correct):,} images.",
        ),
    ]
