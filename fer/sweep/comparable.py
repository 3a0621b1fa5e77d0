"""Whether the values of a sweep's trials can be compared: they can if the validation data is the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from fer.core.text import counted
from fer.sweep.compose import trial_folder
from fer.sweep.leaderboard import is_measured
from fer.training.run_record import read_record

# Trials that are listed by number.
_LISTED = 5


def comparability_warning(folder: Path, trials: Sequence[FrozenTrial], objective: str) -> str:
    """Return a warning if trials were validated on different images or emotions; empty if not.

    Args:
        folder: The sweep's folder. Trials without a record of their data are left out.
        trials: The trials of the sweep.
        objective: The metric that ranks them.
    """
    groups: dict[str, list[int]] = {}
    for trial in filter(is_measured, trials):
        if data := _validation_data(read_record(trial_folder(folder, trial)).manifest):
            groups.setdefault(json.dumps(data, sort_keys=True), []).append(trial.number)
    if len(groups) < 2:
        return ""
    texts = [f"{_numbers(numbers)}: {_describe(json.loads(key))}" for key, numbers in groups.items()]
    return (
        f"the trials were validated on different images or emotions, so their {objective} cannot be "
        f"compared ({'; '.join(texts)})."
    )


def _validation_data(manifest: dict[str, Any]) -> list[Any]:
    """Return emotions, counts and hashes of the validation split; empty if the manifest has none."""
    split = manifest.get("splits", {}).get("val")
    return [manifest["label_space"]["names"], split] if split else []


def _numbers(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:_LISTED]))
    others = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {listed}{others}"


def _describe(data: list[Any]) -> str:
    names, split = data
    return f"{counted(len(names), 'emotion')}, {split['count']:,} images"
