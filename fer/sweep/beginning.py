"""How a sweep begins: its books opened, or made with as many trials as planned."""

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from fer.errors import FerError
from fer.sweep.address import file_of, note_address
from fer.sweep.books import Books
from fer.sweep.plan import Plan
from fer.sweep.space import Value, grid
from fer.sweep.storage import lock, open_storage

_KEY_FILE = "study.key"  # of a sweep's folder: which study its runs are of
_FIRST, _LAST = "base", "key"  # attributes in whose order a study is made: with the last it is whole


def begin(
    plan: Plan,
    base: Mapping[str, Any],
    commands: Mapping[str, list[str] | None],
    direction: str,
    may_exist: bool,
) -> tuple[Books, bool]:
    """Open a sweep's books, made where there are none, with as many trials as planned.

    Args:
        plan: Of the sweep.
        base: Key -> value of the config that every trial varies; trials of another do not compare.
        commands: ``command``, the words of fer-train that give that config without a sweep; ``full_command``,
            the same without the proxy, None where there is none.
        direction: ``min`` or ``max``.
        may_exist: Go on with a sweep of that name.

    Returns:
        The books, and whether they were there already.

    Raises:
        FerError: The storage cannot be reached, or holds another sweep of that name, or one
            that is not to go on; or there is none yet, but its folder holds runs.
    """
    points = grid(plan.space) if plan.sampler == "grid" else None  # refused before there is a study
    search: dict[str, Any] = {"objective": plan.objective, "space": _plain(plan)}
    search |= {} if points is None else {"sampler": "grid"}
    with lock(plan.address, ""):  # tables are those of a whole database
        storage = open_storage(plan.address)
    with lock(plan.address, plan.name):
        exists = _is_begun(storage, plan.name)
        if not exists:
            _check_empty(plan)
            way = StudyDirection.MINIMIZE if direction == "min" else StudyDirection.MAXIMIZE
            study_id = storage.create_new_study([way], plan.name)
            _note(storage, study_id, {"base": dict(base), "search": search, **commands})
        books = Books(plan, storage)
        key = books.study.user_attrs.get(_LAST, "")
        if exists:
            _check_folder(plan, key)
            _check_same(books, search, base)
            if not may_exist:
                raise FerError(_there_already(books))
        (plan.folder / _KEY_FILE).write_text(key, encoding="utf-8")
        note_address(plan.folder, plan.address)
        _fill(books, points)
        books.revive()
    return books, exists


def _is_begun(storage: BaseStorage, name: str) -> bool:
    """Whether there is a study of that name; one that our process died over in making it is cleared away."""
    for study in storage.get_all_studies():
        if study.study_name == name:
            is_half = _FIRST in study.user_attrs and _LAST not in study.user_attrs
            if not is_half or storage.get_n_trials(study._study_id):
                return True
            storage.delete_study(study._study_id)
    return False


def _note(storage: BaseStorage, study_id: int, attributes: Mapping[str, Any]) -> None:
    """Write down what a study is, from `_FIRST` to `_LAST`."""
    whole = {_FIRST: attributes[_FIRST], **attributes, _LAST: secrets.token_hex(2)}
    for key, value in whole.items():
        if value is not None:
            storage.set_study_user_attr(study_id, key, value)


def _check_empty(plan: Plan) -> None:
    """Refuse runs of an earlier sweep: trials of a new one would go on from their checkpoints.

    Checked under the lock and before there is a study, so no worker of the new sweep has begun a run.
    """
    if _has_runs(plan):
        raise FerError(
            f"{plan.folder} holds runs of an earlier sweep that is not in {plan.address}. Choose another "
            "sweep.name, or move that folder away."
        )


def _has_runs(plan: Plan) -> bool:
    return any(path.name.isdecimal() and path.is_dir() for path in plan.folder.glob("*"))


def _check_folder(plan: Plan, key: str) -> None:
    """Refuse a folder that is another sweep's, as where a machine joins one whose study lies elsewhere.

    Raises:
        FerError: It holds the runs of another.
    """
    file = plan.folder / _KEY_FILE
    known = file.read_text(encoding="utf-8") if file.is_file() else None
    local = file_of(plan.address)
    if known is None and local is not None and local.parent == plan.folder:
        known = key  # the study lies with its runs
    if known not in (None, key) or (known is None and _has_runs(plan)):
        raise FerError(
            f"{plan.folder} holds runs of an earlier sweep, not of the one in {plan.address}. Move it away, "
            "or choose another output_dir."
        )


def _fill(books: Books, points: Sequence[Mapping[str, Value]] | None) -> None:
    """Put in the trials that are planned and not there yet; a grid's with their values.

    Of a grid with more points than trials, some are taken by chance: its first would all be of one corner.
    """
    there = [trial.system_attrs.get("fixed_params") for trial in books.trials()]
    wanted = books.plan.n_trials
    missing = [{}] * (wanted or 0) if points is None else [point for point in points if point not in there]
    number = len(missing) if wanted is None else max(0, wanted - len(there))
    if number < len(missing):
        random.Random(books.plan.seed).shuffle(missing)
    for point in missing[:number]:
        books.study.enqueue_trial(dict(point))


def _check_same(books: Books, search: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    attrs = books.study.user_attrs
    begun = attrs.get("search")
    if begun is None:
        raise FerError(
            f"sweep.name={books.plan.name}: the storage holds a study of that name that is no sweep of ours."
        )
    was, now = _differing(begun | begun["space"], search | search["space"], ("space",))
    if was is None:
        both = attrs["base"].keys() & base.keys()
        was, now = _differing({key: attrs["base"][key] for key in both}, {key: base[key] for key in both}, ())
    if was is not None:
        raise FerError(
            f"sweep.name={books.plan.name}: there is a sweep of that name with another search: {was}, "
            f"now {now}. Trials of both would not compare. Choose another sweep.name, or the same "
            "options as before."
        )


def _differing(
    was: Mapping[str, Any], now: Mapping[str, Any], but: tuple[str, ...]
) -> tuple[str | None, str]:
    missing = "(none)"
    for key in dict.fromkeys([*now, *was]):
        before, after = was.get(key, missing), now.get(key, missing)
        if key not in but and before != after:
            return f"{key} {json.dumps(before)}", json.dumps(after)
    return None, ""


def _there_already(books: Books) -> str:
    tally = books.tally()
    return (
        f"sweep.name={books.plan.name}: there is a sweep in {books.plan.folder} already, "
        f"{tally.ended} of its {tally.all} trials done. sweep.resume=true goes on with it; "
        "sweep.name=… begins another."
    )


def _plain(plan: Plan) -> dict[str, Any]:
    """Return the space as JSON has it: name in the study -> domain."""
    domains = {name: domain for parameter in plan.space for name, domain in parameter.domains.items()}
    return {name: json.loads(json.dumps(vars(domain))) for name, domain in domains.items()}
