"""Copies told by split and label, and the training part without copies of what it is measured on."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates.copies import Copies, all_copies, exact_copies
from fer.data.splits import hide_test_labels, indices

LEAKS = "copies of validation or test images in train"


def check_copies(data: EmotionData, drop: bool) -> tuple[EmotionData, dict[str, Any] | None]:
    """Report the copies in a set, and drop those from train that give val or test away.

    Exact copies are counted in every run. Near ones take seconds to find, so they are looked for only if they
    are to be dropped; pictures that stay on disk would all have to be decoded, so there exact ones wait too.

    Args:
        data: The set.
        drop: Drop from train every exact or near copy of a val or test image.

    Returns:
        The data, and what `describe` says of it before anything was dropped; None where nothing was
        looked for.
    """
    images = data.images
    if not drop:
        return data, describe(data, exact_copies(images)) if isinstance(images, np.ndarray) else None
    copies = all_copies(images)
    return drop_leaks(data, copies), describe(data, copies)


def drop_leaks(data: EmotionData, copies: Copies) -> EmotionData:
    """Leave out of train what has a copy in val or test. Labels play no part.

    The images keep their rows; their split is one without a role. ``dropped`` counts them.
    """
    leaks = np.zeros(len(data), bool)
    for role in {"val", "test"} & data.roles.keys():
        leaks |= _part(data, "train") & _has_copy(data, copies.groups, role)
    if not leaks.any():
        return data
    split = data.split.copy()
    split[leaks] = len(data.split_names)
    names = (*data.split_names, f"{data.roles['train']}: {LEAKS}")
    dropped = {**data.dropped, LEAKS: int(leaks.sum())}
    return replace(data, split=split, split_names=names, dropped=dropped)


def describe(data: EmotionData, copies: Copies) -> dict[str, Any]:
    """Tell the copies in plain JSON values.

    Returns:
        ``images``; ``exact`` and (None where not looked for) ``near_or_exact``, each with the number of
        ``groups``, of ``surplus`` images beyond one a group, and ``images`` of one role with a copy in
        another, ``{"train": {"train": …, "val": …}, …}``; ``near_pairs``; ``conflicts``, the groups whose
        known labels differ; ``groups``, the rows of each. Rows count from 0. Labels of the test part are
        never looked at.
    """
    near = copies.pairs is not None
    groups, labelled = _groups(copies.groups), hide_test_labels(data)
    conflicts = [_conflict(labelled, copies, rows) for rows in groups]
    return {
        "source": data.source,
        "images": len(data),
        "exact": _count(data, copies.exact),
        "near_or_exact": _count(data, copies.groups) if near else None,
        "near_pairs": None if copies.pairs is None else len(copies.pairs),
        "conflicts": [conflict for conflict in conflicts if conflict],
        "groups": [{"kind": _kind(copies, rows), "rows": rows.tolist()} for rows in groups],
    }


def table(report: Mapping[str, Any]) -> list[str]:
    """Return the counts of a report as lines for people."""
    lines = [f"{report['images']:,} images"]
    for kind in ("exact", "near_or_exact"):
        if counts := report[kind]:
            name = kind.replace("_", " ")
            lines.append(
                f"{name} copies: {counts['groups']:,} groups, {counts['surplus']:,} images beyond one each"
            )
            for role, others in counts["images"].items():
                cells = ", ".join(f"{number:,} in {other}" for other, number in others.items())
                lines.append(f"  {role} images with a copy: {cells}")
    kinds = [entry["kind"] for entry in report["conflicts"]]
    lines.append(
        f"groups with conflicting labels: {kinds.count('exact'):,} exact, {kinds.count('near'):,} near"
    )
    return lines


def announcement(report: Mapping[str, Any] | None) -> list[str]:
    """Return what a run says of a report, as whole lines: the table, or the exact copies across splits."""
    if report is None:
        return []
    if report["near_or_exact"]:
        return [f"{line}\n" for line in table(report)]
    copied = report["exact"]["images"]["train"]
    found = ", ".join(f"{copied[role]:,} of {role}" for role in ("val", "test") if copied.get(role))
    advice = "datamodule.drop_leaks=true drops these and near copies"
    return [f"images of train that are exact copies: {found}; {advice}\n"] if found else []


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON, a group a line."""
    entries = [f"{json.dumps(name)}: {_lines(value)}" for name, value in report.items()]
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"


def _part(data: EmotionData, role: str) -> np.ndarray:
    """Return which images have a role, bool ``(N,)``."""
    return np.isin(np.arange(len(data)), indices(data, role))


def _has_copy(data: EmotionData, numbers: np.ndarray, role: str) -> np.ndarray:
    """Return which images have a copy other than themselves in a role, bool ``(N,)``."""
    part = _part(data, role)
    return np.bincount(numbers, weights=part, minlength=len(data))[numbers] > part


def _count(data: EmotionData, numbers: np.ndarray) -> dict[str, Any]:
    sizes = np.bincount(numbers)
    roles = [role for role in ROLES if role in data.roles]
    copied = {role: _has_copy(data, numbers, role) for role in roles}
    return {
        "groups": int((sizes > 1).sum()),
        "surplus": int((sizes[sizes > 1] - 1).sum()),
        "images": {
            role: {other: int((_part(data, role) & copied[other]).sum()) for other in roles} for role in roles
        },
    }


def _groups(numbers: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group of two or more."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]


def _kind(copies: Copies, rows: np.ndarray) -> str:
    return "exact" if (copies.exact[rows] == copies.exact[rows[0]]).all() else "near"


def _conflict(data: EmotionData, copies: Copies, rows: np.ndarray) -> dict[str, Any] | None:
    """Return a group's labelled rows and their labels where these differ.

    It is called exact where images of the same pixels differ, whatever near copies the group holds.
    """
    rows = rows[data.targets[rows] >= 0]
    targets = data.targets[rows]
    if len(np.unique(targets)) < 2:
        return None
    same = len(np.unique(copies.exact[rows])) == len(
        np.unique(np.column_stack([copies.exact[rows], targets]), axis=0)
    )
    names = [data.labels.names[target] for target in targets]
    return {"kind": "near" if same else "exact", "rows": rows.tolist(), "labels": names}
