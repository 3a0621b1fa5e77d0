"""The report section on robustness: accuracy and calibration error under corruptions at five strengths."""

from typing import Any

import numpy as np

from fer.analysis.metrics.estimate import Estimate, format_proportion, format_with_interval, points
from fer.analysis.plots.robustness import plot_corrupted_faces, plot_robustness
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images
from fer.analysis.report.document import Cell, Plot, Section, Table
from fer.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer.evaluation.robustness import CLEAN, Condition, Robustness

_TITLE = "Robustness to corruptions"
_MIDDLE = STRENGTHS[len(STRENGTHS) // 2]


def robustness_section(robustness: Robustness, images: Images, has_test: bool, tta: str | None) -> Section:
    """Return the section on robustness.

    Args:
        robustness: As measured.
        images: Of the split, uint8 ``(N, H, W, C)``; the first is shown.
        has_test: Whether there are test images.
        tta: Test-time augmentation of the other sections.
    """
    return Section(
        "robustness",
        _TITLE,
        _paragraphs(robustness, has_test, tta),
        [_score_table(robustness, "accuracy"), _score_table(robustness, "ece"), _strength_table()],
        [_score_plot(robustness), _face_plot(images, robustness.options.seed)],
        _numbers(robustness),
        summary=summary(robustness),
    )


def summary(robustness: Robustness) -> dict[str, Estimate]:
    """Return the metrics over all corruptions."""
    return {
        "mean_corruption_accuracy": robustness.mean_accuracy["mean"],
        "mean_corruption_ece": robustness.mean_ece["mean"],
        "relative_loss": robustness.loss["mean"],
        "relative_loss_middle": robustness.loss[str(_MIDDLE)],
    }


def _paragraphs(robustness: Robustness, has_test: bool, tta: str | None) -> list[str]:
    mean, loss = robustness.mean_accuracy["mean"], robustness.loss
    worst = max(CORRUPTIONS, key=lambda name: loss[name].value or 0.0)
    part = f"{robustness.n:,} images"
    if robustness.n < robustness.total:
        part += f", drawn at random from {robustness.total:,} (seed {robustness.options.seed})"
    paragraphs = [
        f"Mean corruption accuracy, over {len(CORRUPTIONS)} corruptions at {len(STRENGTHS)} strengths: "
        f"{format_proportion(mean)}. Without corruption it is "
        f"{format_proportion(robustness.accuracy[CLEAN])}, so the relative loss is "
        f"{format_proportion(loss['mean'])}; at strength {_MIDDLE} it is "
        f"{format_proportion(loss[str(_MIDDLE)])}. The model loses most under "
        f"{CORRUPTIONS[worst].title.lower()}: {format_proportion(loss[worst])}.",
        f"Measured on {part}, the same under each corruption, in the manner of Hendrycks & Dietterich (2019, "
        "https://arxiv.org/abs/1903.12261), with strengths chosen for faces of 48 px. Intervals are of a "
        "bootstrap that resamples images within each emotion, with the same resamples for all corruptions. "
        "ECE is that of the uncalibrated probabilities, in bins of equal mass.",
    ]
    if tta is not None:
        paragraphs.append(f"These scores do not use the test-time augmentation ({tta}) of this report.")
    if has_test:
        paragraphs.append(
            "Corrupted test images are test images: the ledger has one entry for this evaluation, with the "
            "scores without corruption. Do not choose a model by the scores of this section on a test split."
        )
    return paragraphs


def _score_table(robustness: Robustness, metric: str) -> Table:
    scores = getattr(robustness, metric)
    means = getattr(robustness, f"mean_{metric}")
    in_accuracy = metric == "accuracy"
    rows: list[tuple[Cell, ...]] = [
        (
            corruption.title,
            *(_short(scores[name, strength]) for strength in STRENGTHS),
            format_with_interval(means[name]),
            *([format_with_interval(robustness.loss[name])] if in_accuracy else []),
        )
        for name, corruption in CORRUPTIONS.items()
    ]
    rows.append(
        (
            "mean",
            *(_short(means[str(strength)]) for strength in STRENGTHS),
            format_with_interval(means["mean"]),
            *([format_with_interval(robustness.loss["mean"])] if in_accuracy else []),
        )
    )
    if in_accuracy:
        losses = (_short(robustness.loss[str(strength)]) for strength in STRENGTHS)
        rows.append(("relative loss", *losses, format_with_interval(robustness.loss["mean"]), None))
    columns = ("corruption", *(f"strength {one}" for one in STRENGTHS), "mean [95 %]")
    clean, name = format_with_interval(scores[CLEAN]), "Accuracy" if in_accuracy else "ECE"
    caption = (
        f"{name} in percent; without corruption {clean}; n = {robustness.n:,}. metrics.json has the "
        "intervals of all cells."
    )
    return Table((*columns, "relative loss") if in_accuracy else columns, rows, caption, metric)


def _short(estimate: Estimate) -> str | None:
    return None if estimate.value is None else points(estimate.value)


def _strength_table() -> Table:
    rows: list[tuple[Cell, ...]] = [
        (corruption.title, corruption.unit, *(f"{value:g}" for value in corruption.parameters))
        for corruption in CORRUPTIONS.values()
    ]
    columns = ("corruption", "parameter", *(f"strength {one}" for one in STRENGTHS))
    return Table(columns, rows, "Parameters of the corruptions.", "strengths")


def _score_plot(robustness: Robustness) -> Plot:
    panels = {
        corruption.title: (_by_strength(robustness.accuracy, name), _by_strength(robustness.ece, name))
        for name, corruption in CORRUPTIONS.items()
    }
    subtitle = f"n = {robustness.n:,}, strength 0: without corruption, bands: 95 % intervals"
    fig = plot_robustness(panels, _TITLE, subtitle)
    alt = (
        f"Small multiples, one for each of {len(CORRUPTIONS)} corruptions: accuracy falls and ECE changes "
        "with the strength; the numbers are in the tables."
    )
    return Plot("robustness", png_bytes(fig), alt, f"{robustness.n:,} images, 95 % intervals.")


def _by_strength(scores: dict[Condition, Estimate], name: str) -> list[Estimate]:
    """Return the estimates of a corruption, from strength 0 on."""
    return [scores[CLEAN], *(scores[name, strength] for strength in STRENGTHS)]


def _face_plot(images: Images, seed: int) -> Plot:
    face = np.asarray(images[:1])
    faces = {
        corruption.title: [corrupt(face, name, strength, [0], seed)[0] for strength in (0, *STRENGTHS)]
        for name, corruption in CORRUPTIONS.items()
    }
    fig = plot_corrupted_faces(faces, "Corrupted faces", "an image of the split, by strength")
    alt = f"A face under {len(CORRUPTIONS)} corruptions, a row each, without corruption and at each strength."
    return Plot("corrupted_faces", png_bytes(fig), alt, "The first image of the split.")


def _numbers(robustness: Robustness) -> dict[str, Any]:
    """Return the content of metrics.json."""
    return {
        **summary(robustness),
        "images": robustness.n,
        "of": robustness.total,
        "seed": robustness.options.seed,
        "clean": _pair(robustness.accuracy[CLEAN], robustness.ece[CLEAN]),
        "strengths": {str(strength): _means(robustness, str(strength)) for strength in STRENGTHS},
        "corruptions": {
            name: {
                **_means(robustness, name),
                "strengths": {
                    str(strength): {
                        "parameter": parameter,
                        **_pair(robustness.accuracy[name, strength], robustness.ece[name, strength]),
                    }
                    for strength, parameter in zip(STRENGTHS, corruption.parameters, strict=True)
                },
            }
            for name, corruption in CORRUPTIONS.items()
        },
    }


def _means(robustness: Robustness, key: str) -> dict[str, Estimate]:
    pair = _pair(robustness.mean_accuracy[key], robustness.mean_ece[key])
    return {**pair, "relative_loss": robustness.loss[key]}


def _pair(accuracy: Estimate, ece: Estimate) -> dict[str, Estimate]:
    return {"accuracy": accuracy, "ece": ece}
