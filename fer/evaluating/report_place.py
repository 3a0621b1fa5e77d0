"""Where the report of an evaluation goes: every kind of score has a folder of its own."""

import hashlib
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fer.errors import FerError
from fer.places import at_home
from fer.scoring import TrainedRun


def report_folder(request: Namespace, runs: Sequence[TrainedRun]) -> Path:
    """Return the folder of a report.

    ``RUN/report/val``, ``RUN/report/test_flip``, ``RUN/report/folder-JAFFE-1f3c_all`` for one run; for
    several ``outputs/evaluate/TIME_seeds_val``; or what ``--output`` says.
    """
    if request.output:
        return at_home(request.output)
    what = [request.split, request.tta]
    if request.data:
        kind, _, place = request.data.partition(":")
        what.insert(0, f"{kind}-{Path(place).name}-{_mark(place)}")
    if len(runs) == 1:
        stem = runs[0].path.stem
        name = _name([*what, None if stem == "best" else stem])
        return (runs[0].folder or runs[0].path.parent) / "report" / name
    kind = "ensemble" if request.ensemble else "seeds"
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    return runs[0].outputs / "evaluate" / _name([now, kind, *what])


def check_place(folder: Path) -> Path:
    """Refuse a place where no report can be written, before anything is scored; return it.

    Raises:
        FerError: It, or the nearest folder above it that there is, is no folder or takes no files.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "nothing may be written there" if nearest.is_dir() else "it is a file"
        raise FerError(f"{nearest}: expected a folder for the report, but {why}. Name another with --output.")
    return folder


def _mark(place: str) -> str:
    """Return four letters that tell sets of one name apart."""
    whole = str(at_home(place).resolve())
    return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:4]


def _name(parts: Sequence[str | None]) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(filter(None, parts)))
