"""The folder of a report: its default path, and whether it can be written."""

import hashlib
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.evaluation.runs import TrainedRun


def report_folder(
    runs: Sequence[TrainedRun],
    split: str,
    data: str | None = None,
    tta: str | None = None,
    is_ensemble: bool = False,
    output: str | Path | None = None,
    has_faces: bool = False,
) -> Path:
    """Return the folder of a report; the arguments are those of `evaluate`, ``has_faces`` is its ``faces``.

    ``output`` if given. Otherwise ``RUN/report/val``, ``RUN/report/test_flip`` or
    ``RUN/report/folder-JAFFE-1f3c_all`` for one run, ``outputs/evaluate/NAME/folder-JAFFE-1f3c_all`` for a
    bundle, and ``outputs/evaluate/TIME_seeds_val`` for several runs.
    """
    if output:
        return expand_user(output)
    parts = [split, tta, "faces" if has_faces else None]
    if data:
        kind, _, path = data.partition(":")
        absolute = str(expand_user(path).resolve()).encode("utf-8", "surrogateescape")
        # Four hex digits distinguish data sets with the same folder name
        parts.insert(0, f"{kind}-{Path(path).name[:100]}-{hashlib.sha256(absolute).hexdigest()[:4]}")
    if len(runs) == 1:
        return runs[0].report_root / _folder_name([*parts, runs[0].variant])
    kind = "ensemble" if is_ensemble else "seeds"
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    return runs[0].outputs / "evaluate" / _folder_name([now, kind, *parts])


def check_writable(folder: Path) -> Path:
    """Return ``folder`` if a report can be written there; called before anything is scored.

    Raises:
        FerError: The folder, or its nearest existing parent, is a file or not writable.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "it is not writable" if nearest.is_dir() else "it is a file"
        raise FerError(
            f"{nearest}: expected a folder for the report, but {reason}. Name another with --output."
        )
    return folder


def _folder_name(parts: Sequence[str | None]) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(filter(None, parts)))
