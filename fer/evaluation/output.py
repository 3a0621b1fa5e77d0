"""Output of fer-evaluate besides the report: scores in the terminal, and the report in W&B."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable

from fer.analysis.metrics.estimate import Estimate, format_with_interval
from fer.analysis.report.document import Section, Table, describe_split, find_headlines
from fer.analysis.report.write import to_json_values

# Headline metric -> display name
_HEADLINE = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}
# Metrics by emotion: as many as fit into 80 columns; the report has all of them
_EMOTION_METRICS = ("recall", "f1")


def print_scores(about: Mapping[str, Any], sections: Sequence[Section], page: Path) -> None:
    """Print the warnings, and below them the scores in percent with 95 % intervals.

    Args:
        about: ``about`` of the predictions.
        sections: Sections of the report.
        page: Path of the report.
    """
    console = Console(highlight=False, soft_wrap=True)
    for section in sections:
        if section.warning:
            console.print(*(f"WARNING: {text}" for text in section.paragraphs), sep="\n", markup=False)
    numbers = {section.key: section.numbers for section in sections}
    estimates, seeds = numbers["scores"], numbers.get("seeds")
    tta = "with test-time augmentation: " + about["tta"] if about["tta"] else "no test-time augmentation"
    split = f"{about['split']} ({describe_split(to_json_values(numbers))})"
    facts = f"{about['run']}\n{split}, n = {estimates['accuracy'].n:,}, {tta}"
    console.print(facts, markup=False)
    console.print(_format_headline({**estimates, **(seeds or {})}), markup=False)
    if seeds:
        console.print(
            f"mean of {len(seeds['runs'])} seeds, intervals over seeds and images; the table is of the run "
            "with the median accuracy"
        )
    console.print(_emotion_table(estimates))
    console.print(f"report   {page}", markup=False)


def _format_headline(estimates: Mapping[str, Any]) -> str:
    metrics = (f"{title} {format_with_interval(estimates[key])}" for key, title in _HEADLINE.items())
    return "   ".join(metrics) + "   (%)"


def _emotion_table(estimates: Mapping[str, Estimate]) -> RichTable:
    names = [key.removeprefix("recall/") for key in estimates if key.startswith("recall/")]
    columns = (Column(name, justify="right") for name in ("images", *_EMOTION_METRICS))
    table = RichTable("emotion", *columns, box=SIMPLE)
    for name in names:
        cells = [format_with_interval(estimates[f"{metric}/{name}"]) or "-" for metric in _EMOTION_METRICS]
        count = f"{estimates[f'recall/{name}'].n:,}"
        table.add_row(name, count, *(cell.replace("[", r"\[") for cell in cells))
    return table


def log_report(run: Any, sections: Sequence[Section]) -> None:
    """Log all tables and plots in one step, and the headline metrics to the summary of the run.

    The names are ``report/<key>/table_1``, … and ``report/<key>/<plot>``; the metrics are
    ``report/accuracy``, with ``report/accuracy_low`` and ``report/accuracy_high``.

    Args:
        run: An open ``wandb.Run``, such as `fer.training.loggers.start_wandb` returns.
        sections: Sections of the report.
    """
    content: dict[str, Any] = {}
    for section in sections:
        name = f"report/{section.key}"
        content |= {f"{name}/table_{i}": _wandb_table(table) for i, table in enumerate(section.tables, 1)}
        content |= {f"{name}/{plot.name}": _wandb_image(plot.png, plot.caption) for plot in section.plots}
    if content:
        run.log(content)
    run.summary.update(_headline_values(sections))


def _headline_values(sections: Sequence[Section]) -> dict[str, float]:
    numbers = {section.key: to_json_values(section.numbers) for section in sections}
    values: dict[str, float] = {}
    for headline in find_headlines(numbers):
        parts = {"": headline.value, "_low": headline.low, "_high": headline.high}
        values |= {
            f"report/{headline.key}{suffix}": value for suffix, value in parts.items() if value is not None
        }
    return values


def _wandb_table(table: Table) -> Any:
    import wandb

    rows = [list(row) for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)


def _wandb_image(png: bytes, caption: str) -> Any:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(png)), caption=caption)
