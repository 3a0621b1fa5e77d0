"""Where the report of an evaluation goes: every kind of score has a folder of its own."""

import re
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fer.scoring import TrainedRun


def report_folder(request: Namespace, runs: Sequence[TrainedRun]) -> Path:
    """Return the folder of a report.

    ``RUN/report/val``, ``RUN/report/test_flip``, ``RUN/report/folder-CK_all`` for one run; for several
    ``outputs/evaluate/TIME_seeds_val``; or what ``--output`` says.
    """
    if request.output:
        return Path(request.output).expanduser()
    what = [request.split, request.tta]
    if request.data:
        kind, _, place = request.data.partition(":")
        what.insert(0, f"{kind}-{Path(place).stem}")
    if len(runs) == 1:
        stem = runs[0].path.stem
        name = _name([*what, None if stem == "best" else stem])
        return (runs[0].folder or runs[0].path.parent) / "report" / name
    kind = "ensemble" if request.ensemble else "seeds"
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    return runs[0].outputs / "evaluate" / _name([now, kind, *what])


def _name(parts: Sequence[str | None]) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", "_".join(filter(None, parts)))
