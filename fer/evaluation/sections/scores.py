"""The report sections on scores: of a split, over seeds, with test-time augmentation, against annotators.

Each score has the number of images and a 95 % interval: from the stratified bootstrap
(`fer.analysis.metrics.intervals`), for AUROC from DeLong's method. The interval covers other images from the
same source with the same mix of emotions. It does not cover the variation between training runs; measuring
that takes several seeds (`fer.analysis.metrics.paired`).
"""

import math
from collections.abc import Mapping, Sequence

from fer.analysis.about import About
from fer.analysis.metrics.estimate import (
    Estimate,
    format_cells,
    format_with_interval,
    join_notes,
    points,
    signed_number,
)
from fer.analysis.metrics.human import MAX_VOTES, METRIC_LABELS, human_estimates
from fer.analysis.metrics.paired import summarize_seeds
from fer.analysis.plots.style import png_bytes
from fer.analysis.plots.training import plot_per_emotion
from fer.analysis.predictions import Predictions
from fer.analysis.report.document import Cell, Plot, Section, Table

# Score -> display name, and whether it is shown in percent
OVERALL = {
    "accuracy": ("Accuracy", True),
    "macro_f1": ("Macro-F1", True),
    "uar": ("UAR (balanced accuracy)", True),
    "weighted_f1": ("Weighted F1", True),
    "kappa": ("Cohen's kappa", False),
    "top2": ("Top-2 accuracy", True),
    "log_loss": ("Log loss, nats", False),
    "brier": ("Brier score, 0 to 2", False),
    "ece_mass": ("ECE, bins of equal mass", True),
    "ece_width": ("ECE, bins of equal width", True),
    "auroc": ("AUROC, one-vs-rest", False),
}
# Score by emotion -> display name, in percent
BY_EMOTION = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}
# Headline metric -> display name
HEADLINES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}
# Test-time augmentation -> views of each image
_NUM_VIEWS = {"flip": 2, "ten-crop": 10}


def scores_section(predictions: Predictions, estimates: dict[str, Estimate]) -> Section:
    """Return the section on the scores: a table over all images, a table and a plot by emotion.

    ``estimates`` are of `fer.analysis.metrics.classification.score`, for these predictions.
    """
    prefix = "recall/"
    support = {key.removeprefix(prefix): one.n for key, one in estimates.items() if key.startswith(prefix)}
    notes = [f"{name}: {estimate.note}" for name, estimate in estimates.items() if estimate.note]
    paragraphs = [
        f"Each score is computed from {len(predictions):,} images unless its n says otherwise, and has a "
        "95 % interval: from a bootstrap that resamples images within each emotion (percentiles), for AUROC "
        "from DeLong's method. The interval says how much the score would vary over other images of the same "
        "kind, with the same mix of emotions. It does not include the variation between training runs."
    ]
    if notes:
        paragraphs.append("Notes on single scores. " + ". ".join(notes) + ".")
    overall = _metric_table(estimates, OVERALL, "All images of the split.")
    tables, plots = [overall, _emotion_table(estimates, support)], [_plot(estimates, support)]
    return Section("scores", "Scores", paragraphs, tables, plots, dict(estimates))


def _metric_table(
    estimates: Mapping[str, Estimate], titles: Mapping[str, tuple[str, bool]], caption: str
) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (title, *format_cells(estimates[key], in_percent)) for key, (title, in_percent) in titles.items()
    ]
    return Table(("metric", "value", "95 % interval", "n"), rows, caption, "overall")


def _emotion_table(estimates: dict[str, Estimate], support: dict[str, int]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, count, *(format_with_interval(estimates[f"{metric}/{name}"]) for metric in BY_EMOTION))
        for name, count in support.items()
    ]
    caption = "By emotion, in percent, with 95 % intervals. AUROC is one-vs-rest."
    return Table(("emotion", "images", *BY_EMOTION.values()), rows, caption, "by_emotion")


def _plot(estimates: dict[str, Estimate], support: dict[str, int]) -> Plot:
    f1, precision, recall = (
        {name: math.nan if (value := estimates[f"{metric}/{name}"].value) is None else value
         for name in support}
        for metric in ("f1", "precision", "recall")
    )  # fmt: skip
    fig = plot_per_emotion(f1, precision, recall, support)
    alt = "Bar chart of F1 by emotion, best first, with precision and recall marked on each bar."
    caption = f"F1, precision and recall, {sum(support.values()):,} images."
    return Plot("scores_by_emotion", png_bytes(fig), alt, caption)


def median_run(scores: Sequence[Mapping[str, Estimate]]) -> int:
    """Return the index of the run with the median accuracy; of an even number, the lower median."""
    order = sorted(range(len(scores)), key=lambda i: scores[i]["accuracy"].value or 0.0)
    return order[(len(order) - 1) // 2]


def seeds_section(abouts: Sequence[About], scores: Sequence[Mapping[str, Estimate]]) -> Section:
    """Return the section with the scores of each seed, their mean and its interval."""
    summaries = summarize_seeds(scores)
    n, median = scores[0]["accuracy"].n, abouts[median_run(scores)]
    rows: list[tuple[Cell, ...]] = [
        (about.run, about.seed, *(format_with_interval(seed[key]) for key in HEADLINES))
        for about, seed in zip(abouts, scores, strict=True)
    ]
    spread = [summaries[key] for key in HEADLINES]
    means = (format_with_interval(Estimate(one.mean, one.low, one.high, 0)) for one in spread)
    deviations = (None if one.deviation is None else f"{100 * one.deviation:.2f}" for one in spread)
    rows += [("mean", None, *means), ("standard deviation", None, *deviations)]
    paragraph = (
        f"{len(scores)} runs of one recipe that differ only in the seed, on the same {n:,} images. In the "
        "table the interval of the mean is Student's t over the seeds: it covers other seeds on these "
        "images. The interval at the top of the page covers other images as well, so it is wider. The "
        f"sections below are about one run, the one with the median accuracy: {median.run} (seed "
        f"{median.seed})."
    )
    table = Table(("run", "seed", *HEADLINES.values()), rows, "In percent, with 95 % intervals.", "seeds")
    totals = {}
    for key, one in zip(HEADLINES, spread, strict=True):
        over = "" if one.total_low is None else ", interval over seeds and images"
        note = join_notes(f"mean of {one.n} seeds{over}", one.note)
        totals[key] = Estimate(one.mean, one.total_low, one.total_high, n, note)
    numbers = {**totals, "runs": [about.run for about in abouts], "spread": summaries}
    return Section("seeds", "Variation over seeds", [paragraph], [table], [], numbers)


def tta_section(tta: str, plain: Mapping[str, Estimate], augmented: Mapping[str, Estimate]) -> Section:
    """Return the section that compares the scores without and with test-time augmentation ``tta``."""
    rows: list[tuple[Cell, ...]] = [
        (title, *format_cells(plain[key], percent)[:2], *format_cells(augmented[key], percent)[:2])
        for key, (title, percent) in OVERALL.items()
    ]
    views = _NUM_VIEWS[tta]
    paragraph = (
        f"The scores in this report use test-time augmentation ({tta}): the mean of the probabilities over "
        f"{views} views of each image, at {views} times the cost. Compare them only with scores that use the "
        "same augmentation. Temperature and thresholds in the section Calibration are those of the model "
        "without augmentation."
    )
    columns = ("metric", "without", "95 % interval", f"with {tta}", "95 % interval with TTA")
    caption = f"The same {augmented['accuracy'].n:,} images, without and with {tta}."
    table = Table(columns, rows, caption, "comparison")
    numbers = {"tta": tta, "plain": dict(plain), "augmented": dict(augmented)}
    return Section("tta", "Test-time augmentation", [paragraph], [table], [], numbers)


def annotators_section(predictions: Predictions) -> Section:
    """Return the section that compares the model with human annotators, or says that there are no votes."""
    title, key = "Agreement with human annotators", "human"
    if predictions.votes is None:
        paragraph = (
            "These images have one label each. The comparison with human annotators needs several votes per "
            "image, such as those of FER+."
        )
        return Section(key=key, title=title, paragraphs=[paragraph])
    estimates = human_estimates(predictions.target, predictions.probs, predictions.votes)
    caption = "Agreement with human votes; intervals from a bootstrap over images within each emotion."
    table = _metric_table(estimates, METRIC_LABELS, caption)
    return Section(key, title, _annotator_paragraphs(estimates), [table], numbers=dict(estimates))


def _annotator_paragraphs(estimates: dict[str, Estimate]) -> list[str]:
    ceiling = (
        f"Each image was labelled by up to {MAX_VOTES} annotators. A model cannot be expected to agree with "
        "them more than they agree with each other. Votes are used after the cleaning of the data set: FER+ "
        "removes single votes and images without a majority, so annotators agree more here than in the raw "
        "votes."
    )
    gap = estimates["gap_majority"]
    if gap.value is None or gap.low is None or gap.high is None:
        return [ceiling]
    interval = f"{signed_number(100 * gap.low, 1)} to {signed_number(100 * gap.high, 1)}"
    size = f"{points(abs(gap.value))} points (95 % interval of the difference: {interval})"
    often = "more" if gap.low > 0 else "less"
    text = f"The model agrees with the majority {often} often than one annotator with the others, by {size}."
    if gap.low <= 0 <= gap.high:
        text = (
            f"No significant difference between the agreement of the model and of one annotator on {gap.n:,} "
            f"images: {size}."
        )
    return [text, ceiling]
