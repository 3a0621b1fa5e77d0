"""Profilers of Lightning: each leaves its files in the run folder, and what took longest is printed."""

import glob
import os
import pstats
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.utilities import rank_zero_only
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

# Lines and characters of a profile that are printed; the file has all of it.
_PROFILE_LINES, _PROFILE_WIDTH = 16, 160
# Above that of all messages of torch's profiler, which are about its own start and stop.
_SILENT = "6"


class LongestFirst(AdvancedProfiler):
    """Lightning's profiler of Python functions, with the actions that took longest first."""

    def summary(self) -> str:
        """Return the functions of each action."""
        seconds = {name: pstats.Stats(profile).total_tt for name, profile in self.profiled_actions.items()}  # type: ignore[attr-defined]
        longest = sorted(self.profiled_actions.items(), key=lambda item: -seconds[item[0]])
        self.profiled_actions = dict(longest)
        return super().summary()


def build_profiler(name: str | None, own: Profiler | None, folder: Path) -> Profiler | None:
    """Return the profiler of a run, which writes ``fit-profile.txt`` into the run folder.

    Args:
        name: ``simple``, ``advanced``, or ``pytorch``, which leaves traces as well; None: without.
        own: A profiler of the user, which replaces it. It keeps a folder and file name of its own.
        folder: The run folder.
    """
    if own is not None:
        own.dirpath, own.filename = own.dirpath or folder, own.filename or "profile"
        return own
    if name == "simple":
        return SimpleProfiler(folder, "profile")
    if name == "advanced":
        return LongestFirst(folder, "profile")
    if name == "pytorch":
        os.environ.setdefault("KINETO_LOG_LEVEL", _SILENT)
        # Without acc_events the table would have the last validation steps only.
        return PyTorchProfiler(folder, "profile", acc_events=True)
    return None


@rank_zero_only
def print_profile(profiler: Profiler) -> None:
    """Print where the time of a fit went, and the paths of the profiler's files."""
    paths = sorted(Path(str(profiler.dirpath)).glob(f"fit-{glob.escape(str(profiler.filename))}*"))
    if isinstance(profiler, SimpleProfiler):
        _print_durations(profiler.recorded_durations)
    else:
        for path in (path for path in paths if path.suffix == ".txt"):
            text = path.read_text(encoding="utf-8")
            lines = [line.rstrip()[:_PROFILE_WIDTH] for line in text.splitlines() if line.strip()]
            print(*lines[:_PROFILE_LINES], sep="\n")
    for path in paths:
        print(f"profile  {path}", flush=True)


def _print_durations(durations: Mapping[str, Sequence[float]]) -> None:
    """Print the actions that took longest; some contain others."""
    table = Table(
        "action", *(Column(name, justify="right") for name in ("calls", "mean", "total")), box=SIMPLE
    )
    longest = sorted(durations.items(), key=lambda item: -sum(item[1]))
    for action, seconds in longest[:_PROFILE_LINES]:
        name = re.sub(r"\{.*\}", "", action)
        mean = sum(seconds) / len(seconds)
        table.add_row(name, f"{len(seconds):,}", f"{1000 * mean:.2f} ms", f"{sum(seconds):.2f} s")
    Console(highlight=False, markup=False, soft_wrap=True).print(table)
