"""The confirmed recipes against each other: the paired comparison of fer-compare on their runs."""

from collections.abc import Sequence

from fer.analysis.common_images import line_up
from fer.analysis.comparison import Entrant, compare
from fer.analysis.comparison_section import section
from fer.analysis.section import Section
from fer.evaluating.contenders import Contender, gather
from fer.sweep_reporting.confirming import Confirmation

METRICS = {"val/macro_f1": "macro_f1", "val/uar": "uar", "val/loss": "log_loss"}


def duel(confirmations: Sequence[Confirmation], objective: str) -> Section | None:
    """Score all runs on the validation images; return how the recipes compare, None for a single one.

    Args:
        confirmations: Recipes with their runs.
        objective: Of the sweep; where the paired test has no such metric, accuracy decides.

    Raises:
        FerError: A run has no checkpoint, or its data is not where it was.
    """
    if len(confirmations) < 2:
        return None
    folders = [str(folder) for one in confirmations for folder in one.folders]
    contenders = gather(folders, "val", None, measure=False)
    entrants, first = [], 0
    for one in confirmations:
        members = tuple(range(first, first := first + len(one.folders)))
        entrants.append(_entrant(one.name, members, contenders))
    (truth, *_) = line_up([contender.predictions for contender in contenders])
    found = compare(truth, entrants, METRICS.get(objective, "accuracy"))
    return section("paired", found, truth, "images/s")


def _entrant(name: str, members: tuple[int, ...], contenders: Sequence[Contender]) -> Entrant:
    group = [contenders[member] for member in members]
    seconds = [one.record.get("fit_seconds") or 0.0 for one in group]
    return Entrant(
        name=name, members=members, runs=tuple(one["run"] for one in group),
        parameters=group[0]["parameters"], megabytes=group[0].megabytes, images_per_second=None,
        fit_seconds=sum(seconds) / len(seconds),
    )  # fmt: skip
