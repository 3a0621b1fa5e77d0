"""A sweep in W&B: trials grouped under its name with their parameters, and the best of them marked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fer.sweep.books import Books
from fer.sweep.compose import trial_folder
from fer.training.loggers import finish_wandb, start_wandb
from fer.training.run_folder import read_record

MARKED = "wandb_best"  # of the study: the number of the trial that is marked
TAG = "sweep"  # of every trial: W&B takes a run's last tag away only by putting others in its place


def names_of(
    books: Books, number: int, chosen: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a trial is called in W&B: ``id``, ``name``, ``group``, ``tags``, ``config`` of its values.

    Parameters stand under ``trial``, as ``trial.optimizer/lr``: W&B takes a dot for a nested key, and the
    choice of a group is no single value of the run's config.

    Args:
        books: Of the sweep.
        number: Of the trial.
        chosen: Its value for each key of the config.
        options: ``logger.wandb`` of the config; its group and tags are the user's.
    """
    name = f"{books.plan.name}_{number}"
    key = books.study.user_attrs.get("key", "")  # so that two sweeps of a name keep their runs apart
    parameters = {key.replace(".", "/"): value for key, value in chosen.items()}
    return {
        "id": f"{books.plan.name}_{key}_{number}" if key else name,
        "name": name,
        "group": options["group"] or books.plan.name,
        "tags": [*options["tags"], TAG],
        "config": {"trial": {"number": number, **parameters}},
    }


def mark_best(books: Books, number: int) -> None:
    """Tag a trial's W&B run as the best of the sweep, and take the tag from the one before it."""
    before = books.study.user_attrs.get(MARKED)
    if before == number:
        return
    if before is not None:
        _mark(trial_folder(books.plan.folder, before), is_best=False)
    if _mark(trial_folder(books.plan.folder, number), is_best=True):
        books.study.set_user_attr(MARKED, number)


def _mark(folder: Path, is_best: bool) -> bool:
    """Go on with a run for a moment; return whether it was one of W&B's."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    options = config.get("logger", {}).get("wandb")
    if options is None:
        return False
    tags = [*options["tags"], *(["best"] if is_best else [])]
    run = start_wandb({**options, "tags": tags}, folder, config)
    run.summary.update(_summary(folder) | {"sweep/best": is_best})
    finish_wandb(run, failed=False)
    return True


def _summary(folder: Path) -> dict[str, Any]:
    """Return what a run's summary says of its outcome: an offline run's second part may replace its first."""
    record = read_record(folder)
    best = {f"best/{key.removeprefix('val/')}": value for key, value in (record.get("best") or {}).items()}
    return {"status": record.get("status"), **best}
