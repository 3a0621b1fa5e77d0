"""Report duplicates by split and label, and drop train images that duplicate validation or test images."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer.core.text import agree, counted
from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates.search import Duplicates, find_duplicates, find_exact_duplicates
from fer.data.splits import hide_test_labels, indices, is_carved

# Recorded in manifests as the reason for dropping images.
LEAKS = "copies of validation or test images in train"
# Near duplicates of a carved validation split are searched for up to this size, where it takes seconds.
_MAX_SEARCHED_IMAGES = 50_000


def check_duplicates(data: EmotionData, drop: bool) -> tuple[EmotionData, dict[str, Any] | None]:
    """Report the duplicates in a dataset, and optionally drop train images that leak val or test images.

    Exact duplicates are counted in every run. The search for near duplicates takes seconds, so it runs only
    with ``drop``, and if validation was carved out of train: frames of one video or photographs of a series
    would then be in both. For images that stay on disk, exact duplicates are not counted without ``drop``
    either, because all files would have to be decoded.

    Args:
        data: The dataset.
        drop: Drop from train every exact or near duplicate of a val or test image.

    Returns:
        The data, and the `duplicate_report` of it before the drop; None if nothing was searched.
    """
    images = data.images
    if drop:
        duplicates = find_duplicates(images)
        return drop_leaks(data, duplicates), duplicate_report(data, duplicates) | {"drop_leaks": True}
    if not isinstance(images, np.ndarray):
        return data, None
    search = is_carved(data) and len(images) <= _MAX_SEARCHED_IMAGES
    duplicates = find_duplicates(images) if search else find_exact_duplicates(images)
    return data, duplicate_report(data, duplicates)


def drop_leaks(data: EmotionData, duplicates: Duplicates) -> EmotionData:
    """Return the data without the train images that have a duplicate in val or test. Labels are ignored.

    The images keep their rows, but move to a split without a role. ``dropped`` counts them.
    """
    if "train" not in data.roles:
        return data
    leaks = np.zeros(len(data), bool)
    for role in {"val", "test"} & data.roles.keys():
        leaks |= _role_mask(data, "train") & _has_duplicate(data, duplicates.groups, role)
    if not leaks.any():
        return data
    split = data.split.copy()
    split[leaks] = len(data.split_names)
    names = (*data.split_names, f"{data.roles['train']}: {LEAKS}")
    dropped = {**data.dropped, LEAKS: int(leaks.sum())}
    return replace(data, split=split, split_names=names, dropped=dropped)


def duplicate_report(data: EmotionData, duplicates: Duplicates) -> dict[str, Any]:
    """Return a report on duplicates as JSON values. Test labels are not used.

    Returns:
        ``images``: number of images, and ``roles`` of each role. ``exact`` and ``near_or_exact`` (None if not
        searched), each with the number of ``groups``, of ``surplus`` images beyond one per group, and of
        ``images`` of one role with a duplicate in another, ``{"train": {"train": …, "val": …}, …}``.
        ``near_pairs``: number of pairs.
        ``conflicts``: groups whose known labels differ. ``groups``: the rows of each, from 0.
    """
    near = duplicates.pairs is not None
    groups, labelled = _groups(duplicates.groups), hide_test_labels(data)
    conflicts = [_conflict(labelled, duplicates, rows) for rows in groups]
    return {
        "source": data.source,
        "images": len(data),
        "roles": {role: len(indices(data, role)) for role in ROLES if role in data.roles},
        "exact": _count(data, duplicates.exact),
        "near_or_exact": _count(data, duplicates.groups) if near else None,
        "near_pairs": None if duplicates.pairs is None else len(duplicates.pairs),
        "conflicts": [conflict for conflict in conflicts if conflict],
        "groups": [{"kind": _kind(duplicates, rows), "rows": rows.tolist()} for rows in groups],
    }


def format_report(report: Mapping[str, Any]) -> list[str]:
    """Return the counts of a report as lines of text."""
    lines = [counted(report["images"], "image")]
    for kind in ("exact", "near_or_exact"):
        if counts := report[kind]:
            name = kind.replace("_", " ")
            lines.append(
                f"{name} duplicates: {counted(counts['groups'], 'group')}, "
                f"{counted(counts['surplus'], 'image')} beyond one per group"
            )
            for role, others in counts["images"].items():
                cells = ", ".join(f"{number:,} in {other}" for other, number in others.items())
                lines.append(f"  {role} images with a duplicate: {cells}")
    kinds = [entry["kind"] for entry in report["conflicts"]]
    lines.append(
        f"groups with conflicting labels: {kinds.count('exact'):,} exact, {kinds.count('near'):,} near"
    )
    return lines


def format_summary(report: Mapping[str, Any] | None) -> list[str]:
    """Return the lines that a run prints.

    The full report with ``drop_leaks``; otherwise the exact duplicates across splits, and near duplicates
    between train and a validation split that was carved out of it.
    """
    if report is None:
        return []
    if report.get("drop_leaks"):
        return [f"{line}\n" for line in format_report(report)]
    lines = []
    if report["near_or_exact"]:
        images, near = report["roles"]["val"], report["near_or_exact"]["images"]["val"]["train"]
        if near:
            lines.append(
                f"WARNING: {near:,} of {images:,} validation images {agree(near, 'has', 'have')} a near copy "
                "in train, so validation scores are too high. Keep the images of a person or video together "
                "with datamodule.group=REGEX (docs/data.md), or set datamodule.drop_leaks=true\n"
            )
    copied = report["exact"]["images"]["train"]
    leaks = ", ".join(f"{copied[role]:,} in {role}" for role in ("val", "test") if copied.get(role))
    advice = "datamodule.drop_leaks=true drops these and near duplicates"
    return [*lines, f"train images with an exact duplicate: {leaks}; {advice}\n"] if leaks else lines


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON, with one group per line."""
    entries = [f"{json.dumps(name)}: {_format_json(value)}" for name, value in report.items()]
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def _format_json(value: Any) -> str:
    """Return a value as JSON, with a line for each item of a list."""
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"


def _role_mask(data: EmotionData, role: str) -> np.ndarray:
    """Return the mask of images with a role, bool ``(N,)``."""
    return np.isin(np.arange(len(data)), indices(data, role))


def _has_duplicate(data: EmotionData, group_ids: np.ndarray, role: str) -> np.ndarray:
    """Return the mask of images with a duplicate, other than themselves, in a role, bool ``(N,)``."""
    mask = _role_mask(data, role)
    return np.bincount(group_ids, weights=mask, minlength=len(data))[group_ids] > mask


def _count(data: EmotionData, group_ids: np.ndarray) -> dict[str, Any]:
    """Return the counts of a kind of duplicate, as `duplicate_report` describes them."""
    sizes = np.bincount(group_ids)
    roles = [role for role in ROLES if role in data.roles]
    copied = {role: _has_duplicate(data, group_ids, role) for role in roles}
    return {
        "groups": int((sizes > 1).sum()),
        "surplus": int((sizes[sizes > 1] - 1).sum()),
        "images": {
            role: {other: int((_role_mask(data, role) & copied[other]).sum()) for other in roles}
            for role in roles
        },
    }


def _groups(group_ids: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group of two or more."""
    order = np.argsort(group_ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group_ids[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]


def _kind(duplicates: Duplicates, rows: np.ndarray) -> str:
    return "exact" if (duplicates.exact[rows] == duplicates.exact[rows[0]]).all() else "near"


def _conflict(data: EmotionData, duplicates: Duplicates, rows: np.ndarray) -> dict[str, Any] | None:
    """Return a group's labelled rows and their labels if these differ, else None.

    The kind is "exact" if images with the same pixels differ, even if the group has near duplicates too.
    """
    rows = rows[data.targets[rows] >= 0]
    targets = data.targets[rows]
    if len(np.unique(targets)) < 2:
        return None
    exact_agree = len(np.unique(duplicates.exact[rows])) == len(
        np.unique(np.column_stack([duplicates.exact[rows], targets]), axis=0)
    )
    names = [data.labels.names[target] for target in targets]
    return {"kind": "near" if exact_agree else "exact", "rows": rows.tolist(), "labels": names}
