"""The report section on human annotators: their agreement with the model and with each other."""

from fer.analysis.metrics.estimate import Estimate, format_cells
from fer.analysis.metrics.human import MAX_VOTES, METRIC_LABELS, human_estimates
from fer.analysis.predictions import Predictions
from fer.analysis.report.document import Cell, Section, Table


def annotators_section(predictions: Predictions, resamples: int = 2000) -> Section:
    """Return the section that compares the model with human annotators, or says that there are no votes."""
    title, key = "Agreement with human annotators", "human"
    if predictions.votes is None:
        paragraph = (
            "These images have one label each. The comparison with human annotators needs several votes per "
            "image, such as those of FER+."
        )
        return Section(key=key, title=title, paragraphs=[paragraph])
    estimates = human_estimates(predictions.target, predictions.probs, predictions.votes, resamples)
    rows: list[tuple[Cell, ...]] = [
        (label, *format_cells(estimates[name], percent)) for name, (label, percent) in METRIC_LABELS.items()
    ]
    caption = "Agreement with human votes; intervals from a bootstrap over images within each emotion."
    table = Table(("metric", "value", "95 % interval", "n"), rows, caption)
    return Section(
        key=key,
        title=title,
        paragraphs=_paragraphs(estimates),
        tables=[table],
        numbers=dict(estimates),
    )


def _paragraphs(estimates: dict[str, Estimate]) -> list[str]:
    ceiling = (
        f"Each image was labelled by up to {MAX_VOTES} annotators. A model cannot be expected to agree with "
        "them more than they agree with each other. Votes are used after the cleaning of the data set: FER+ "
        "removes single votes and images without a majority, so annotators agree more here than in the raw "
        "votes."
    )
    gap = estimates["gap_majority"]
    if gap.value is None or gap.low is None or gap.high is None:
        return [ceiling]
    return [_conclusion(gap), ceiling]


def _conclusion(gap: Estimate) -> str:
    assert gap.value is not None
    assert gap.low is not None
    assert gap.high is not None
    interval = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    size = f"{100 * abs(gap.value):.1f} points (95 % interval of the difference: {interval})"
    if gap.high < 0:
        return f"The model agrees with the majority less often than one annotator with the others, by {size}."
    if gap.low > 0:
        return f"The model agrees with the majority more often than one annotator with the others, by {size}."
    return (
        f"No significant difference between the agreement of the model and of one annotator on {gap.n:,} "
        f"images: {size}."
    )
