"""The paired comparison of the confirmed recipes, as in fer-compare."""

from collections.abc import Sequence

from fer.analysis.common_images import match_images
from fer.analysis.comparison import Candidate, compare
from fer.analysis.comparison_section import comparison_section
from fer.analysis.section import Section
from fer.evaluating.contenders import ComparedRun, load_compared_runs
from fer.sweep_reporting.confirming import Confirmation

METRICS = {"val/macro_f1": "macro_f1", "val/uar": "uar", "val/loss": "log_loss"}


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
    folders = [str(folder) for one in confirmations for folder in one.folders]
    runs = load_compared_runs(folders, "val", None, measure=False)
    candidates, first = [], 0
    for one in confirmations:
        members = tuple(range(first, first := first + len(one.folders)))
        candidates.append(_candidate(one.name, members, runs))
    (truth, *_) = match_images([run.predictions for run in runs])
    comparison = compare(truth, candidates, METRICS.get(objective, "accuracy"))
    return comparison_section("paired", comparison, truth, "images/s")


def _candidate(name: str, members: tuple[int, ...], runs: Sequence[ComparedRun]) -> Candidate:
    group = [runs[member] for member in members]
    seconds = [run.record.get("fit_seconds") or 0.0 for run in group]
    return Candidate(
        name=name, members=members, runs=tuple(run["run"] for run in group),
        parameters=group[0]["parameters"], megabytes=group[0].megabytes, images_per_second=None,
        fit_seconds=sum(seconds) / len(seconds),
    )  # fmt: skip
