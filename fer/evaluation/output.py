"""Output besides the report: scores and comparisons in the terminal, and the report in W&B."""

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable

from fer.analysis.about import About
from fer.analysis.metrics.comparison import RankedCandidates
from fer.analysis.metrics.estimate import Estimate, format_with_interval
from fer.analysis.report.document import Section, describe_split, find_headlines
from fer.analysis.report.write import to_json_values
from fer.data.config import DataConfig
from fer.evaluation.results import Comparison, Report
from fer.evaluation.sections.comparison import TITLES, format_score
from fer.evaluation.sections.scores import HEADLINES

# Metrics by emotion: as many as fit into 80 columns; the report has all of them
_EMOTION_METRICS = ("recall", "f1")


def print_scores(report: Report) -> None:
    """Print the warnings, and below them the scores in percent with 95 % intervals."""
    # Names of runs, folders and emotions are no markup.
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for warning in report.warnings:
        console.print(f"WARNING: {warning}")
    about = report.predictions.about
    numbers = {section.key: section.numbers for section in report.sections}
    estimates, seeds = numbers["scores"], numbers.get("seeds")
    tta = "with test-time augmentation: " + about.tta if about.tta else "no test-time augmentation"
    split = f"{about.split} ({describe_split(to_json_values(numbers))})"
    facts = f"{about.run}\n{split}, n = {estimates['accuracy'].n:,}, {tta}"
    console.print(facts)
    metrics = (f"{title} {format_with_interval(report.metrics[key])}" for key, title in HEADLINES.items())
    console.print("   ".join(metrics) + "   (%)")
    if seeds:
        console.print(
            f"mean of {len(seeds['runs'])} seeds, intervals over seeds and images; the table is of the run "
            "with the median accuracy"
        )
    if "faces" in numbers:
        found = report.metrics["accuracy_of_found"]
        console.print(f"accuracy on found faces {format_with_interval(found)}   (%), n = {found.n:,}")
    console.print(_emotion_table(estimates))
    if "robustness" in numbers:
        console.print(_robustness_line(report.metrics))
    console.print(f"report   {report.page}")


def _robustness_line(metrics: Mapping[str, Estimate]) -> str:
    names = {
        "mean_corruption_accuracy": "accuracy",
        "relative_loss": "relative loss",
        "mean_corruption_ece": "ECE",
    }
    parts = (f"{title} {format_with_interval(metrics[key]) or '-'}" for key, title in names.items())
    return f"corruptions, mean   {'   '.join(parts)}   (%), n = {metrics['mean_corruption_accuracy'].n:,}"


def _emotion_table(estimates: Mapping[str, Estimate]) -> RichTable:
    names = [key.removeprefix("recall/") for key in estimates if key.startswith("recall/")]
    columns = (Column(name, justify="right") for name in ("images", *_EMOTION_METRICS))
    table = RichTable("emotion", *columns, box=SIMPLE)
    for name in names:
        cells = [format_with_interval(estimates[f"{metric}/{name}"]) or "-" for metric in _EMOTION_METRICS]
        count = f"{estimates[f'recall/{name}'].n:,}"
        table.add_row(name, count, *cells)
    return table


def print_comparison(comparison: Comparison) -> None:
    """Print the scores under each set of labels as a table, and below it the conclusions."""
    for section in comparison.sections:
        for warning in section.paragraphs if section.warning else ():
            print(f"WARNING: {warning}")
    for ranking, section in zip(comparison.rankings, comparison.sections, strict=False):
        _print_ranking(ranking, section.paragraphs)
    print(f"report   {comparison.page}")


def _print_ranking(ranking: RankedCandidates, paragraphs: Sequence[str]) -> None:
    metrics = (ranking.metric, *(name for name in ("accuracy", "macro_f1") if name != ranking.metric))
    columns = ("seeds", *(TITLES[metric] for metric in metrics), "parameters", "images/s")
    # Names of trials end with what distinguishes them.
    first = Column("", overflow="fold")
    table = RichTable(first, *(Column(name, justify="right") for name in columns), box=SIMPLE)
    for candidate, estimates in zip(ranking.candidates, ranking.estimates, strict=True):
        speed = f"{candidate.images_per_second:,.0f}" if candidate.images_per_second else "-"
        cells = [format_score(metric, estimates[metric]) for metric in metrics]
        num_seeds, parameters = str(len(candidate.members)), f"{candidate.parameters:,}"
        table.add_row(candidate.name, num_seeds, *cells, parameters, speed)
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    # A table that is piped to a file, or wider than the terminal, must not be wrapped
    console.width = max(console.width, 110)
    console.print(f"\n{ranking.images:,} images, labels of {ranking.labels}")
    console.print(table)
    console.print(*paragraphs, sep="\n")


def report_prefix(about: About, own_data: DataConfig | None, data: str | None) -> str:
    """Return the prefix of a report's names in W&B, so that a score does not replace that of other images.

    ``report/<set>/<split>``: ``report/fer2013/val``, ``report/folder-JAFFE-1f3c/all``, ``report/rafdb/test``,
    with test-time augmentation or another checkpoint than ``best`` ``report/fer2013/val_flip_last``.

    Args:
        about: What was scored.
        own_data: Config of the data set that the runs were trained on; None if it is not known.
        data: ``kind:path`` of another data set that was scored; None for that of the runs.
    """
    kind, _, path = data.partition(":") if data else (own_data.name if own_data else "data", "", "")
    parts = [kind, Path(path).stem]
    if data or about.changed:
        # Four hex digits distinguish data sets of the same name, on each computer alike.
        manifest = json.dumps(dict(about.manifest), sort_keys=True, default=str)
        parts.append(hashlib.sha256(manifest.encode()).hexdigest()[:4])
    checkpoint = Path(about.checkpoint).stem if not about.members else "ensemble"
    split = [about.role, about.tta, None if checkpoint == "best" else checkpoint]
    return "/".join(["report", _key("-".join(filter(None, parts))), _key("_".join(filter(None, split)))])


def _key(text: str) -> str:
    """Return text as a part of a W&B key, where a dot would be a nested key and a slash a section."""
    return re.sub(r"[^\w-]", "-", text)[:100]


def log_report(run: Any, sections: Sequence[Section], prefix: str = "report") -> None:
    """Log all tables and plots in one step, and the headline metrics to the summary of the run.

    The names are ``<prefix>/<section>/<table>`` and ``<prefix>/<section>/<plot>``; the metrics are
    ``<prefix>/accuracy``, with its 95 % interval ``accuracy_low`` and ``accuracy_high``, and ``accuracy_n``
    images, and likewise ``<prefix>/<section>/<metric>`` of `Section.summary`.

    Args:
        run: An open ``wandb.Run``, such as `fer.training.loggers.start_wandb` returns.
        sections: Content of the report.
        prefix: As `report_prefix` returns it.
    """
    import wandb
    from PIL import Image

    content: dict[str, Any] = {}
    for section in sections:
        name = f"{prefix}/{section.key}"
        for table in section.tables:
            rows = [list(row) for row in table.rows]
            content[f"{name}/{table.name}"] = wandb.Table(
                columns=[*table.columns], data=rows, allow_mixed_types=True
            )
        for plot in section.plots:
            image = Image.open(io.BytesIO(plot.png))
            content[f"{name}/{plot.name}"] = wandb.Image(image, caption=plot.caption)
    if content:
        run.log(content)
    numbers = {section.key: to_json_values(section.numbers) for section in sections}
    metrics: dict[str, Estimate] = {headline.key: headline for headline in find_headlines(numbers)}
    for section in sections:
        metrics |= {f"{section.key}/{name}": estimate for name, estimate in section.summary.items()}
    for key, metric in metrics.items():
        parts = {"": metric.value, "_low": metric.low, "_high": metric.high, "_n": metric.n or None}
        known = {suffix: value for suffix, value in parts.items() if value is not None}
        run.summary.update({f"{prefix}/{key}{suffix}": value for suffix, value in known.items()})
