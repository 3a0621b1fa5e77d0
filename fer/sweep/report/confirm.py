"""Confirmation of a sweep: train its best recipes again over new seeds, and measure the selection bias.

Each run is a separate fer-train. The page shows the bias, and a paired comparison of the recipes.
"""

import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial
from scipy.special import stdtrit

from fer.analysis.metrics.comparison import Candidate, compare_candidates
from fer.analysis.metrics.matching import match_images
from fer.analysis.report.document import Cell, Section, Table
from fer.core.errors import FerError
from fer.core.text import with_interval
from fer.evaluation.sections.comparison import comparison_section
from fer.sweep.compose import can_resume
from fer.sweep.leaderboard import words_of
from fer.sweep.report.results import SweepResults, format_difference, format_value, unit
from fer.sweep.report.sections import PageSection, without_empty_columns
from fer.training.run_record import read_record

if TYPE_CHECKING:
    from fer.evaluation.compared_runs import ComparedRun

# Objective of a sweep -> metric of the paired comparison; accuracy for the others.
_COMPARED_METRICS = {"val/macro_f1": "macro_f1", "val/uar": "uar", "val/loss": "log_loss"}
_METHOD = (
    "Selection bias: value in the search minus the mean over new seeds. Both are of the same validation "
    "images, so the chance of drawing these images affects both. The interval is a t-interval over seeds, "
    "with the variance pooled over the recipes."
)
_PROXY = "The search trained cheap proxies, so its values cannot be compared with these full trainings."


@dataclass(frozen=True)
class Confirmation:
    """A recipe with its runs over new seeds.

    Attributes:
        trial: The trial that the recipe is from.
        folders: Folders of its finished runs.
        values: The objective of each run, at its best epoch.
    """

    trial: FrozenTrial
    folders: list[Path]
    values: list[float]

    @property
    def name(self) -> str:
        """Return its name on the page."""
        return f"trial {self.trial.number}"


@dataclass(frozen=True)
class SelectionBias:
    """The value of a recipe in the search, compared with its runs over new seeds.

    Attributes:
        searched: The value that it was selected by.
        mean: Mean over the new seeds.
        value: How much better the value in the search is; above 0 the search was too optimistic.
        low: Lower limit of the 95 % interval of ``value``; None if no recipe has two runs.
        high: Upper limit.
        seeds: Number of new seeds.
    """

    searched: float
    mean: float
    value: float
    low: float | None
    high: float | None
    seeds: int


def confirm(sweep: SweepResults, seeds: int, best: int) -> None:
    """Train the best recipes over new seeds, one after the other; finished runs are kept.

    Args:
        sweep: A sweep with at least one finished trial.
        seeds: Number of seeds for each recipe.
        best: Number of recipes.

    Raises:
        FerError: No trial has finished, or a run fails.
    """
    if not sweep.ranking:
        raise FerError(f"--confirm: no trial of {sweep.name} has finished, so there is no recipe to confirm.")
    runs = [(trial, seed) for trial in sweep.best_recipes[:best] for seed in new_seeds(sweep, seeds)]
    for number, (trial, seed) in enumerate(runs, 1):
        start, folder = time.perf_counter(), confirm_folder(sweep) / f"trial_{trial.number}_s{seed}"
        is_new = read_record(folder).status != "finished"
        if is_new:
            _train(_overrides(sweep, trial, seed, folder), folder)
        duration = f"{time.perf_counter() - start:.0f} s" if is_new else "already done"
        value = read_record(folder).best_metrics[sweep.objective]
        line = f"[{number}/{len(runs)}] trial {trial.number}, seed {seed}: {sweep.objective} {value:.4f}"
        print(f"{line}  {duration}", flush=True)


def load_confirmations(sweep: SweepResults) -> list[Confirmation]:
    """Return the recipes that have finished runs over new seeds, in the ranking of the search."""
    confirmations = []
    for trial in sweep.ranking:
        files = confirm_folder(sweep).glob(f"trial_{trial.number}_s*/run.json")
        folders = sorted((file.parent for file in files), key=lambda path: int(path.name.rpartition("_s")[2]))
        records = [(folder, read_record(folder)) for folder in folders]
        done = [(folder, record) for folder, record in records if record.status == "finished"]
        if done:
            values = [record.best_metrics[sweep.objective] for _, record in done]
            confirmations.append(Confirmation(trial, [folder for folder, _ in done], values))
    return confirmations


def confirm_folder(sweep: SweepResults) -> Path:
    """Return the folder of a sweep's runs over new seeds.

    Its name contains the study's key. W&B identifies these runs by the names of this folder and of the run
    folder, and a new sweep in the folder of an old one must not use the old confirmations.
    """
    key = sweep.study.user_attrs.get("key")
    return sweep.folder / (f"confirm_{key}" if key else "confirm")


def new_seeds(sweep: SweepResults, number: int) -> list[int]:
    """Return the smallest seeds from 1 that no trial of the sweep was trained with."""
    used = {sweep.study.user_attrs["base"].get("seed")}
    overrides = [item for trial in sweep.trials for item in words_of(trial)]
    used |= {int(item.removeprefix("seed=")) for item in overrides if re.fullmatch(r"seed=\d+", item)}
    return [seed for seed in range(1, number + len(used) + 1) if seed not in used][:number]


def _overrides(sweep: SweepResults, trial: FrozenTrial, seed: int, folder: Path) -> list[str]:
    without_seed = [item for item in sweep.full_overrides(trial) if not item.startswith("seed=")]
    return [*without_seed, f"seed={seed}", f"hydra.run.dir={json.dumps(str(folder), ensure_ascii=False)}"]


def _train(overrides: Sequence[str], folder: Path) -> None:
    """Train in a separate process; resume a run that was killed."""
    if can_resume(folder):
        plugins = [item for item in overrides if item.startswith("plugins=")]
        overrides = [f"resume={json.dumps(str(folder), ensure_ascii=False)}", *plugins]
    command = [sys.executable, "-m", "fer.training.cli", *overrides]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or read_record(folder).status != "finished":
        raise FerError(
            f"--confirm: a training failed: fer-train {' '.join(overrides)}. Its last message: "
            f"{_last_message(done.stdout)} Fix the cause and run the same command again; finished runs are "
            "kept."
        )


def _last_message(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["none."])[-1]


def selection_bias(
    searched: Sequence[float], values: Sequence[Sequence[float]], sign: int
) -> list[SelectionBias]:
    """Return the selection bias of each recipe.

    The value that a trial was selected by is the largest of many, so it is expected to be above what the
    recipe reaches on average. Runs over new seeds were not selected; the difference to their mean is the
    bias. Both are measured on the same validation split, whose sampling noise stays in both.

    The interval is a t-interval of the mean over seeds. Its variance is pooled over the recipes, which
    assumes the same variance over seeds for each: three seeds alone say little about it.

    Args:
        searched: For each recipe, the value that it was selected by.
        values: For each recipe, the values over new seeds.
        sign: 1 if higher is better, else -1.
    """
    degrees_of_freedom = sum(len(seeds) - 1 for seeds in values)
    squares = sum((value - statistics.mean(seeds)) ** 2 for seeds in values for value in seeds)
    biases = []
    for before, seeds in zip(searched, values, strict=True):
        mean = statistics.mean(seeds)
        difference = sign * (before - mean)
        low = high = None
        if degrees_of_freedom:
            error = math.sqrt(squares / degrees_of_freedom / len(seeds))
            half_width = float(stdtrit(degrees_of_freedom, 0.975)) * error
            low, high = difference - half_width, difference + half_width
        biases.append(SelectionBias(before, mean, difference, low, high, len(seeds)))
    return biases


def paired_comparison(confirmations: Sequence[Confirmation], objective: str) -> Section | None:
    """Score all runs on the validation images; return their paired comparison, None for a single recipe.

    Args:
        confirmations: Recipes with their runs.
        objective: Metric of the sweep; accuracy is compared if the paired test does not have it.

    Raises:
        FerError: A run has no checkpoint, or its data cannot be read.
    """
    if len(confirmations) < 2:
        return None
    # Imports torch, which the rest of the page does not need.
    from fer.evaluation.compared_runs import load_compared_runs

    folders = [str(folder) for confirmation in confirmations for folder in confirmation.folders]
    runs = load_compared_runs(folders, "val", None, measure=False)
    candidates, first = [], 0
    for confirmation in confirmations:
        members = tuple(range(first, first := first + len(confirmation.folders)))
        candidates.append(_candidate(confirmation.name, members, runs))
    (truth, *_) = match_images([run.predictions for run in runs])
    comparison = compare_candidates(truth, candidates, _COMPARED_METRICS.get(objective, "accuracy"))
    return comparison_section("paired", comparison, truth, "images/s")


def _candidate(name: str, members: tuple[int, ...], runs: Sequence["ComparedRun"]) -> Candidate:
    group = [runs[member] for member in members]
    seconds = [run.record.fit_seconds or 0.0 for run in group]
    return Candidate(
        name=name, members=members, runs=tuple(run.about.run for run in group),
        parameters=group[0].about.parameters, megabytes=group[0].megabytes, images_per_second=None,
        fit_seconds=sum(seconds) / len(seconds),
    )  # fmt: skip


def confirmation_section(
    sweep: SweepResults, confirmations: Sequence[Confirmation], comparison: Section | None, error: str = ""
) -> PageSection:
    """Return the section of the page on the confirmed recipes.

    Args:
        sweep: The sweep.
        confirmations: Recipes with runs over new seeds, at least one.
        comparison: The paired comparison; None for a single recipe, or if it failed.
        error: Why it failed.
    """
    biases = selection_bias(
        [confirmation.trial.value or 0.0 for confirmation in confirmations],
        [confirmation.values for confirmation in confirmations],
        sweep.sign,
    )
    paragraphs = [_PROXY] if sweep.is_proxy else [bias_sentence(sweep, confirmations[0], biases[0]), _METHOD]
    paragraphs += [f"The recipes could not be compared. {error}"] if error else []
    tables = [_table(sweep, confirmations, biases)]
    if comparison is not None:
        paragraphs += [text for text in comparison.paragraphs if text not in paragraphs]
        tables += [without_empty_columns(table) for table in comparison.tables]
    return PageSection("confirmed", "Confirmed over new seeds", paragraphs, tables=tables)


def bias_sentence(sweep: SweepResults, best: Confirmation, bias: SelectionBias) -> str:
    """Return a sentence on the selection bias of the best recipe.

    Args:
        sweep: The sweep.
        best: The first recipe in its ranking that has runs over new seeds.
        bias: Selection bias of that recipe.
    """
    conclusion = f"{_conclusion(sweep, best, bias)}."
    if bias.low is None:
        return f"{conclusion} One seed gives no interval; use --confirm 3 or more."
    if bias.low <= 0.0 <= (bias.high or 0.0):
        return f"{conclusion} The interval includes 0, so this may be chance."
    return conclusion


def _conclusion(sweep: SweepResults, best: Confirmation, bias: SelectionBias) -> str:
    seeds = "one new seed" if bias.seeds == 1 else f"{bias.seeds} new seeds"
    before, after = (format_value(sweep.objective, value) for value in (bias.searched, bias.mean))
    values = f"{before} in the search, {after} over {seeds}"
    difference = f"{_with_interval(sweep, bias)}{unit(sweep.objective)}"
    if bias.value > 0.0:
        return f"Selection bias of {_name(sweep, best)}: {difference} ({values})"
    return f"No sign of selection bias in {_name(sweep, best)}: {values}, a difference of {difference}"


def _name(sweep: SweepResults, best: Confirmation) -> str:
    top = sweep.ranking[0].number
    if best.trial.number == top:
        return f"the best recipe, {best.name}"
    return f"the best confirmed recipe, {best.name} (trial {top} is better by now)"


def _with_interval(sweep: SweepResults, bias: SelectionBias) -> str:
    return with_interval(bias.value, bias.low, bias.high, partial(format_difference, sweep.objective))


def _table(
    sweep: SweepResults, confirmations: Sequence[Confirmation], biases: Sequence[SelectionBias]
) -> Table:
    name = sweep.objective
    column = f"selection bias,{unit(name)}" if unit(name) else "selection bias"
    columns = ("recipe", "in the search", "over new seeds", "each seed", column)
    rows: list[tuple[Cell, ...]] = [
        (
            confirmation.name, format_value(name, confirmation.trial.value), format_value(name, bias.mean),
            ", ".join(format_value(name, value).removesuffix(" %") for value in confirmation.values),
            None if sweep.is_proxy else _with_interval(sweep, bias),
        )
        for confirmation, bias in zip(confirmations, biases, strict=True)
    ]  # fmt: skip
    caption = f"{name}: the value that a recipe was selected by, and its mean over new seeds; 95 % intervals."
    return without_empty_columns(Table(columns, rows, caption))
