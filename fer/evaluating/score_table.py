"""What fer-evaluate prints: main figures with intervals, each emotion, and where the report lies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from fer.analysis.figure import Figure, with_interval
from fer.analysis.report.headline import standing
from fer.analysis.report.plain import plain
from fer.analysis.section import Section

_MAIN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR", "ece_mass": "ECE"}
_EMOTION = ("recall", "f1")  # what fits 80 columns; the report has all


def print_scores(about: Mapping[str, Any], chapters: Sequence[Section], page: Path) -> None:
    """Print a table of the figures in percent with 95 % intervals, the warnings above it.

    Args:
        about: Of the predictions.
        chapters: Of the report.
        page: Path of the report.
    """
    console = Console(highlight=False, soft_wrap=True)
    for chapter in chapters:
        if chapter.warning:
            console.print(*(f"WARNING: {words}" for words in chapter.words), sep="\n", markup=False)
    numbers = {chapter.key: chapter.numbers for chapter in chapters}
    figures, seeds = numbers["scores"], numbers.get("seeds")
    tta = "with test-time augmentation: " + about["tta"] if about["tta"] else "no test-time augmentation"
    split = f"{about['split']} ({standing(plain(numbers))})"
    facts = f"{about['run']}\n{split}, n = {figures['accuracy'].n:,}, {tta}"
    console.print(facts, markup=False)
    console.print(_line({**figures, **(seeds or {})}), markup=False)
    if seeds:
        console.print(
            f"mean of {len(seeds['runs'])} seeds, intervals over seeds and images; below, the run of the "
            "median accuracy"
        )
    console.print(_emotions(figures))
    console.print(f"report   {page}", markup=False)


def _line(figures: Mapping[str, Any]) -> str:
    return "   ".join(f"{words} {with_interval(figures[key])}" for key, words in _MAIN.items()) + "   (%)"


def _emotions(figures: Mapping[str, Figure]) -> Table:
    names = [key.removeprefix("recall/") for key in figures if key.startswith("recall/")]
    table = Table("emotion", *(Column(name, justify="right") for name in ("images", *_EMOTION)), box=SIMPLE)
    for name in names:
        cells = [with_interval(figures[f"{metric}/{name}"]) or "-" for metric in _EMOTION]
        table.add_row(name, f"{figures[f'recall/{name}'].n:,}", *(cell.replace("[", r"\[") for cell in cells))
    return table
