"""Create a sweep's study with all planned trials, or open the one that exists."""

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from fer.core.errors import FerError
from fer.sweep.objectives import directions
from fer.sweep.plan import Plan
from fer.sweep.space import Value, grid
from fer.sweep.storage import lock, open_storage, save_address, storage_file
from fer.sweep.study import SweepStudy
from fer.sweep.trials import GridTrial
from fer.training.grid import override_values
from fer.training.metrics import current_name

# Value of `kind` in the search settings of a grid.
GRID_KIND = "grid"
# File in the sweep's folder with the key of the study that its runs belong to.
_KEY_FILE = "study.key"
# The first and the last study attribute to be written. A study without the last one is incomplete.
_FIRST_ATTRIBUTE, _LAST_ATTRIBUTE = "base", "key"


def create_or_open(
    plan: Plan,
    base: Mapping[str, Any],
    commands: Mapping[str, list[str] | None],
    may_exist: bool,
    grid_trials: Sequence[GridTrial] = (),
) -> tuple[SweepStudy, bool]:
    """Open a sweep's study, or create it; then add the planned trials that it lacks.

    Args:
        plan: Plan of the sweep.
        base: Flat key -> value of the config that every trial varies. Trials with different base configs
            cannot be compared.
        commands: ``command``, the fer-train overrides that give the base config without a sweep;
            ``full_command``, the same without the proxy, None if there is no proxy.
        may_exist: Whether an existing sweep of that name is resumed.
        grid_trials: The trials of a grid.

    Returns:
        The study, and whether it existed.

    Raises:
        FerError: The storage cannot be reached; it holds another sweep of that name, or one that must not be
            resumed; or the sweep is new and its folder already holds runs.
    """
    # Rejects a space that has no grid, so it is called before the study is created.
    points = grid(plan.space) if plan.sampler == "grid" else None
    domains = {name: domain for parameter in plan.space for name, domain in parameter.domains.items()}
    space = {name: json.loads(json.dumps(vars(domain))) for name, domain in domains.items()}
    search: dict[str, Any] = {"objective": plan.objective, "space": space}
    search |= {} if points is None else {"sampler": "grid"}
    search |= {"kind": GRID_KIND} if plan.is_grid else {}
    search |= {"objectives": plan.objectives} if plan.objectives else {}
    search |= {"constraints": plan.constraints.limits()} if plan.constraints.limits() else {}
    # Opening may create tables, which all studies of a database share.
    with lock(plan.address, ""):
        storage = open_storage(plan.address)
    with lock(plan.address, plan.name):
        exists = _exists(storage, plan.name)
        if not exists:
            _check_empty(plan)
            study_id = storage.create_new_study(directions(plan.all_objectives), plan.name)
            attributes = {_FIRST_ATTRIBUTE: dict(base), "search": search, **commands}
            # The random key marks a complete study.
            for attribute, value in (attributes | {_LAST_ATTRIBUTE: secrets.token_hex(2)}).items():
                if value is not None:
                    storage.set_study_user_attr(study_id, attribute, value)
        sweep_study = SweepStudy(plan, storage)
        key = sweep_study.study.user_attrs.get(_LAST_ATTRIBUTE, "")
        if exists:
            _check_folder(plan, key)
            _check_same(sweep_study, search, base)
            if not may_exist:
                raise FerError(_exists_message(sweep_study))
        (plan.folder / _KEY_FILE).write_text(key, encoding="utf-8")
        save_address(plan.folder, plan.address)
        if plan.is_grid:
            _add_combinations(sweep_study, grid_trials)
        else:
            _add_trials(sweep_study, points)
        sweep_study.requeue_abandoned()
    return sweep_study, exists


def _exists(storage: BaseStorage, name: str) -> bool:
    """Return whether there is a study of that name; delete one that a crash left incomplete."""
    for study in storage.get_all_studies():
        if study.study_name == name:
            is_complete = _LAST_ATTRIBUTE in study.user_attrs or _FIRST_ATTRIBUTE not in study.user_attrs
            if is_complete or storage.get_n_trials(study._study_id):
                return True
            storage.delete_study(study._study_id)
    return False


def _check_empty(plan: Plan) -> None:
    """Reject a folder with runs of an earlier sweep: new trials would resume from their checkpoints.

    This is checked under the lock and before the study exists, so no worker of the new sweep has a run yet.
    """
    if _has_runs(plan):
        raise FerError(
            f"{plan.folder}: expected a folder without runs for a new sweep, but it holds runs of an earlier "
            f"sweep that is not in {plan.address}. Choose another sweep.name, or move the folder away."
        )


def _has_runs(plan: Plan) -> bool:
    return any(path.name.isdecimal() and path.is_dir() for path in plan.folder.glob("*"))


def _check_folder(plan: Plan, key: str) -> None:
    """Reject a folder that belongs to another sweep, e.g. on a second machine that joins this sweep.

    Raises:
        FerError: The folder holds runs of another sweep.
    """
    file = plan.folder / _KEY_FILE
    known = file.read_text(encoding="utf-8") if file.is_file() else None
    local = storage_file(plan.address)
    if known is None and local is not None and local.parent == plan.folder:
        # The study is stored in the same folder as its runs.
        known = key
    if known not in (None, key) or (known is None and _has_runs(plan)):
        raise FerError(
            f"{plan.folder}: expected runs of the sweep in {plan.address}, but it holds runs of another "
            "sweep. Move the folder away, or choose another output_dir."
        )


def _add_trials(sweep_study: SweepStudy, points: Sequence[Mapping[str, Value]] | None) -> None:
    """Enqueue the planned trials that the study lacks; those of a grid with their values.

    If a grid has more points than there are trials, a random subset is taken: the first points would all come
    from one corner of the grid.
    """
    existing = [trial.system_attrs.get("fixed_params") for trial in sweep_study.trials()]
    planned = sweep_study.plan.n_trials
    missing = (
        [{}] * (planned or 0) if points is None else [point for point in points if point not in existing]
    )
    number = len(missing) if planned is None else max(0, planned - len(existing))
    if number < len(missing):
        random.Random(sweep_study.plan.seed).shuffle(missing)
    for point in missing[:number]:
        sweep_study.study.enqueue_trial(dict(point))


def _add_combinations(sweep_study: SweepStudy, grid_trials: Sequence[GridTrial]) -> None:
    """Enqueue the combinations of a grid that the study lacks, and again those that have failed.

    A folder gets a suffix if another trial has it, or if there is such a folder already.
    """
    stored = sweep_study.trials()
    known = [trial.user_attrs["words"] for trial in stored if trial.state != TrialState.FAIL]
    folders = {trial.user_attrs["folder"] for trial in stored}
    missing = [trial for trial in grid_trials if trial.words not in known]
    for number, trial in enumerate(missing, len(stored)):
        wanted = trial.folder(number)
        names = (wanted if index == 1 else f"{wanted}-{index}" for index in count(1))
        folder = next(
            name for name in names if name not in folders and not (sweep_study.plan.folder / name).exists()
        )
        folders.add(folder)
        notes = {"words": trial.words, "name": trial.name, "folder": folder}
        sweep_study.study.enqueue_trial({}, user_attrs=notes)


def _without_new(value: Any, stored: Any) -> Any:
    """Return options without those that an earlier version lacked and that are off, as by default."""
    if not isinstance(value, Mapping) or not isinstance(stored, Mapping):
        return value
    return {key: one for key, one in value.items() if one or key in stored}


def _check_same(sweep_study: SweepStudy, search: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    attributes, name = sweep_study.study.user_attrs, sweep_study.plan.name
    stored = attributes.get("search")
    if stored is None:
        raise FerError(
            f"sweep.name={name}: expected a sweep of fer-train, but the storage holds another Optuna study "
            "of that name. Choose another sweep.name."
        )
    stored = {**stored, "objective": current_name(stored["objective"])}
    before, after = _first_difference(stored | stored["space"], search | search["space"], ("space",))
    if before is None and sweep_study.plan.is_grid:
        _check_values(sweep_study, base)
        stored_base = attributes["base"]
        now = {key: _without_new(value, stored_base.get(key)) for key, value in base.items()}
        before, after = _first_difference(stored_base, now, ())
    if before is None:
        stored_base = dict(attributes["base"])
        if "monitor" in stored_base:
            stored_base["monitor"] = current_name(stored_base["monitor"])
        shared = stored_base.keys() & base.keys()
        before, after = _first_difference(
            {key: stored_base[key] for key in shared},
            {key: _without_new(base[key], stored_base[key]) for key in shared},
            (),
        )
    if before is not None:
        raise FerError(
            f"sweep.name={name}: expected {before}, as in the existing sweep of that name, got {after}. "
            "Trials of different searches cannot be compared. Choose another sweep.name, or use the same "
            "options as before."
        )


def _check_values(sweep_study: SweepStudy, base: Mapping[str, Any]) -> None:
    """Check that no key that varies in a grid has become one that all trials share."""
    varied = {key for trial in sweep_study.trials() for key in override_values(trial.user_attrs["words"])}
    for key in base:
        if key in varied:
            raise FerError(
                f"{key}={base[key]}: expected several values, as at the start of the grid, got one. Leave it "
                f"out to resume the grid, or add values to it: {key}=…,{base[key]}."
            )


def _first_difference(
    before: Mapping[str, Any], after: Mapping[str, Any], ignored: tuple[str, ...]
) -> tuple[str | None, str]:
    """Return the first different entry of two dicts as texts; None and an empty text if there is none."""
    missing = "(none)"
    for key in dict.fromkeys([*after, *before]):
        old, new = before.get(key, missing), after.get(key, missing)
        if key not in ignored and old != new:
            return f"{key} {json.dumps(old)}", json.dumps(new)
    return None, ""


def _exists_message(sweep_study: SweepStudy) -> str:
    counts = sweep_study.counts()
    return (
        f"sweep.name={sweep_study.plan.name}: expected a new name, but a sweep of that name is in "
        f"{sweep_study.plan.folder}, with {counts.ended} of {counts.total} trials done. Set "
        "sweep.resume=true to resume it, or choose another sweep.name."
    )
