"""The terminal output of fer-evaluate: warnings, headline metrics, and scores by emotion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table as RichTable

from fer.analysis.figure import Estimate, format_with_interval
from fer.analysis.report.headline import describe_split
from fer.analysis.report.plain import to_json_values
from fer.analysis.section import Section

_HEADLINE = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}
# As many metrics as fit into 80 columns; the report has all of them
_EMOTION_METRICS = ("recall", "f1")


def print_scores(about: Mapping[str, Any], sections: Sequence[Section], page: Path) -> None:
    """Print the warnings, and below them the scores in percent with 95 % intervals.

    Args:
        about: Of the predictions.
        sections: Of the report.
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
    console.print(_headline({**estimates, **(seeds or {})}), markup=False)
    if seeds:
        console.print(
            f"mean of {len(seeds['runs'])} seeds, intervals over seeds and images; the table is of the run "
            "with the median accuracy"
        )
    console.print(_emotion_table(estimates))
    console.print(f"report   {page}", markup=False)


def _headline(estimates: Mapping[str, Any]) -> str:
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
