"""Run fer-models calibrate, and print what was fitted with its figures."""

import argparse
import sys
from collections.abc import Iterator

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.temperature import NUM_FOLDS
from fer.bundle.card import model_name
from fer.bundle.files import Bundle
from fer.bundle.registry import Registry
from fer.calibrate.calibrate import Calibrated, calibrate
from fer.calibrate.figures import CERTAIN_ACCURACY, COVERAGE
from fer.core.text import aligned, percent, with_interval

_TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log loss",
    "ece_mass": "calibration error (ECE)",
    COVERAGE: "certain predictions",
    CERTAIN_ACCURACY: "accuracy of these",
}
# A difference of the log loss that matters. Below it, the model was calibrated on such images already.
_MATERIAL_LOSS = 0.01
_PERCENT = set(_TITLES) - {"log_loss"}


def run(request: argparse.Namespace, registry: Registry, base: Bundle) -> None:
    """Calibrate a bundle as the options of the command line say.

    Raises:
        FerError: As `calibrate`.
    """
    result = calibrate(
        base,
        request.data,
        registry,
        name=request.name,
        split=request.split,
        labels=request.labels,
        group=request.group,
        faces=request.faces,
        detector=request.detector,
        priors=request.priors,
        accuracy=request.accuracy,
        biases=request.biases,
    )
    for line in lines(result):
        print(line)
    for warning in warnings(result):
        print(f"WARNING: {warning}", file=sys.stderr)
    print(f"{model_name(result.bundle.card)} is in {result.bundle.folder}")


def lines(result: Calibrated) -> Iterator[str]:
    """Yield what was fitted, and a table of the figures."""
    images, fitted, before = result.images, result.fit, result.base.card
    groups = len(set(images.groups.tolist()))
    together = f", in {groups:,} groups ({images.rule})" if images.rule else ""
    yield f"fitted on    {images.split}: {len(images.target):,} images{together}"
    for reason, count in images.left_out.items():
        yield f"left out     {count:,} {reason}"
    yield (
        f"temperature  {before.temperature:.3f} -> {fitted.temperature:.3f} "
        f"[{fitted.low:.3f}, {fitted.high:.3f}]"
    )
    yield f"threshold    {_threshold(before.abstain_below)} -> {_threshold(_confidence(result))}"
    if fitted.priors is not None and result.expected is not None:
        for name, expected, found in zip(
            before.labels.names, result.expected.priors, fitted.priors, strict=True
        ):
            yield f"priors       {name:<10} {percent(expected):>7} -> {percent(found):>7}"
    elif fitted.log_prior is not None:
        for name, bias in zip(before.labels.names, fitted.log_prior, strict=True):
            yield f"bias         {name:<10} {bias:+.2f}"
    yield ""
    yield from _table(result)
    yield ""


def _confidence(result: Calibrated) -> float | None:
    threshold = result.fit.threshold
    return None if threshold is None else threshold.confidence


def _threshold(value: float | None) -> str:
    return "none: every prediction is uncertain" if value is None else f"{value:.3f}"


def _table(result: Calibrated) -> list[str]:
    figures = result.figures
    rows: list[tuple[str, ...]] = [("", "before", f"after, cross-fitted in {NUM_FOLDS} folds", "difference")]
    for key, title in _TITLES.items():
        cells = [_cell(one[key], key) for one in (figures.before, figures.after)]
        difference = figures.difference.get(key)
        rows.append((title, *cells, "" if difference is None else _cell(difference, key, signed=True)))
    return aligned(rows)


def _cell(estimate: Estimate, key: str, signed: bool = False) -> str:
    """Return ``57.9 % [46.1, 68.4]``, or ``1.505 [1.257, 1.750]`` for the log loss."""
    if estimate.value is None:
        return "-"
    factor, digits, unit = (100, 1, " points" if signed else " %") if key in _PERCENT else (1, 3, "")
    form = f"{'+' * signed}z.{digits}f"
    return with_interval(
        estimate.value, estimate.low, estimate.high, lambda number: f"{factor * number:{form}}", unit
    )


def warnings(result: Calibrated) -> Iterator[str]:
    """Yield what speaks against the use of the new version."""
    images = result.images
    loss, accuracy = (result.figures.difference[key] for key in ("log_loss", "accuracy"))
    name = model_name(result.bundle.card)
    is_worse = (loss.low or 0) > 0 and (loss.value or 0) > _MATERIAL_LOSS
    if is_worse or (accuracy.high or 0) < 0:
        option = None if result.fit.log_prior is None else "biases" if result.fit.priors is None else "priors"
        what = "Keep" if option is None else f"Omit --{option}, or keep"
        yield (
            f"{name}: it is worse than before on images that it was not fitted on. {what} "
            f"{model_name(result.base.card)}."
        )
    if _confidence(result) is None:
        yield (
            f"{name}: no threshold reaches the accuracy with certainty on {len(images.target):,} images, so "
            "every prediction is uncertain. Add images, ask for less with --accuracy, or predict with "
            "--threshold."
        )
    missing = set(range(len(result.base.card.labels))) - set(images.target.tolist())
    if missing:
        names = ", ".join(result.base.card.labels.names[number] for number in sorted(missing))
        yield f"{images.split}: it has no image of {names}. The figures do not show how well these are known."
    if result.expected is not None and not result.expected.is_measured:
        yield (
            f"{model_name(result.base.card)}: its card lacks the mean of its probabilities, so the "
            "frequencies of its training are used, which may differ. A model that is exported again has it."
        )
