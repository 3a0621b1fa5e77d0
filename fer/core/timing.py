"""Time functions that take turns in one process: times of another hour or machine are not comparable."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

ROUNDS = 15
Clock = Callable[[], float]


def time_in_turns(
    functions: Sequence[Callable[[], object]],
    seconds: float = 1.0,
    rounds: int | None = None,
    clock: Clock = time.perf_counter,
) -> np.ndarray:
    """Return the seconds of a call of each function.

    In each round every function is called for the same time, in alternating order, so that other load on the
    machine affects all of them. A function is called at least once in a round. The first call is not timed.

    Args:
        functions: One or more.
        seconds: Time for each function, over all rounds.
        rounds: Number of rounds; None: `ROUNDS`.
        clock: From `choose_clock`.

    Returns:
        float64 ``(rounds, number of functions)``: the median of the calls of a round.
    """
    repeats, rounds = [], rounds or ROUNDS
    for function in functions:
        function()
        repeats.append(max(1, round(seconds / rounds / max(_time(function, 1, clock), 1e-9))))
    times = np.empty((rounds, len(functions)))
    for number, row in enumerate(times):
        order = range(len(functions))
        for index in order if number % 2 else reversed(order):
            row[index] = _time(functions[index], repeats[index], clock)
    return times


def choose_clock(device: str, threads: int) -> Clock:
    """Return the clock for calls on a device.

    With one thread of the CPU it is the CPU time of this process, which stops while another process has
    the core. In all other cases, and on Windows, whose CPU time is coarse, it is the wall-clock time.
    """
    is_one_core = device in ("cpu", "openvino") and threads == 1 and sys.platform != "win32"
    return time.process_time if is_one_core else time.perf_counter


def _time(function: Callable[[], object], repeats: int, clock: Clock) -> float:
    """Return the median seconds of the calls, so that a few that another process interrupts do not count."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return statistics.median(times)


def summarize(times: np.ndarray) -> dict[str, float]:
    """Return ``median`` and the quartiles ``low`` and ``high`` of the seconds of the rounds ``(rounds,)``."""
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def ratio(times: np.ndarray, reference: np.ndarray) -> float:
    """Return the median over the rounds of ``times / reference``: how many times as long."""
    return float(np.median(times / reference))
