"""CPU cores and threads: how many cores this process may use, and how long it waits for them.

`share_cores` is called before torch is loaded, by every command and by ``import fer``'s functions. Why:
docs/decisions/0021-threads.md.
"""

import math
import os
import sys
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")
# Mean number of running threads above which a machine counts as busy.
_BUSY_LOAD = 0.5
# The largest number of threads that the user wants; None: all cores.
_limit: int | None = None


def available_cores() -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    The smallest of the machine's cores, the affinity of the process, the CPU quota of its container, and
    ``--threads`` (`share_cores`).
    """
    quota = cpu_quota()
    limits = (_machine_cores(), _limit, None if quota is None else math.ceil(quota))
    return max(1, min(limit for limit in limits if limit is not None))


def is_limited() -> bool:
    """Return whether this process may use fewer cores than the machine has: by an option or a container."""
    return _limit is not None or cpu_quota() is not None


def _machine_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(process: Path = _PROCESS, cgroups: Path = _CGROUPS) -> float | None:
    """Return the CPU quota of the container in cores, such as 1.5; None without a limit.

    Linux only: ``cpu.max`` of control groups version 2, ``cpu.cfs_quota_us`` of version 1, of the group of
    the process and of its parents.
    """
    try:
        groups = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
    except OSError:
        return None
    quotas = []
    for _, controllers, name in groups:
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the name may be that of the host, whose group is then mounted at the root.
        for group in (Path(name), *Path(name).parents):
            folder = cgroups / "cpu" if controllers else cgroups
            quotas.append(_read_quota(folder / group.relative_to("/")))
    return min((quota for quota in quotas if quota is not None), default=None)


def _read_quota(folder: Path) -> float | None:
    try:
        if (limit := folder / "cpu.max").exists():
            quota, period = limit.read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    # `max` is no number: no limit.
    except (OSError, ValueError):
        return None


def share_cores(threads: int | None = None) -> None:
    """Set the environment that torch's OpenMP and OpenCV read when loaded; a variable of the user stays.

    - On a busy machine, threads that wait for each other sleep instead of spinning: a training is then 1.6
      times as slow beside another process, not 2.8 times. On an idle machine, spinning is 15 % faster.
    - There are no more threads than the container's quota allows.

    Child processes inherit it. If torch is loaded already, only ``threads`` has an effect.

    Args:
        threads: Number of threads of torch, OpenCV and ONNX Runtime, and largest number of images that are
            read or whose faces are detected at the same time; None: that of the environment or all cores.
    """
    if threads is not None:
        _set_limit(threads)
    if (torch := sys.modules.get("torch")) is not None:
        if threads is not None:
            torch.set_num_threads(threads)
        return
    if is_busy():
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    elif cpu_quota() is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def _set_limit(threads: int) -> None:
    global _limit
    _limit = threads
    if (opencv := sys.modules.get("cv2")) is not None:
        opencv.setNumThreads(threads)
    os.environ["OPENCV_FOR_THREADS_NUM"] = str(threads)


def is_busy() -> bool:
    """Return whether other processes have used the machine's cores in the last minute and still do."""
    try:
        if os.getloadavg()[0] < _BUSY_LOAD:
            return False
        # Linux: the number of threads that run or wait for a core, one of which is this one.
        return int((_PROCESS.parent / "loadavg").read_text().split()[3].split("/")[0]) > 1
    except (AttributeError, OSError):
        # Windows has no load average, and macOS no file of it.
        return hasattr(os, "getloadavg")


class CoreWait:
    """Share of time that threads of this process wait for a CPU core that another process uses.

    The kernel counts it for each thread (``schedstat``). Linux only; elsewhere the share is None.
    """

    def __init__(self) -> None:
        self._start = _scheduled_seconds()

    def share(self) -> float | None:
        """Return the share of time since the creation, in [0, 1]; None where it is unknown.

        Threads that have ended in between do not count.
        """
        ran, waited = 0.0, 0.0
        for thread, (running, waiting) in _scheduled_seconds().items():
            before = self._start.get(thread, (0.0, 0.0))
            ran, waited = ran + running - before[0], waited + waiting - before[1]
        return waited / (ran + waited) if ran + waited > 0 else None


def busy_warning(share: float | None, max_share: float = 0.25) -> str:
    """Return the warning that threads waited for cores; empty if they waited for less than ``max_share``."""
    if share is None or share <= max_share:
        return ""
    return (
        f"WARNING: the threads of this run waited {share:.0%} of the time for a CPU core, because other "
        "processes use it, so the speed of this run is not that of this machine. Stop the others, give each "
        "its part with threads=N, or set OMP_WAIT_POLICY=PASSIVE."
    )


def _scheduled_seconds() -> dict[str, tuple[float, float]]:
    """Return thread id -> seconds on a core and seconds of waiting for one."""
    seconds = {}
    for path in _PROCESS.glob("task/*/schedstat"):
        try:
            ran, waited, _ = map(int, path.read_text().split())
        # The thread has ended.
        except (OSError, ValueError):
            continue
        seconds[path.parent.name] = (ran / 1e9, waited / 1e9)
    return seconds
