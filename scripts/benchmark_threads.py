"""Benchmark of threads that wait: a training step alone and beside busy processes.

    uv run python scripts/benchmark_threads.py [--model fast_cnn_fine] [--busy 1] [--steps 15] [--turns 3]

Prints the milliseconds of a step (forward, backward, SGD; random images) for threads that spin while they
wait, for threads that sleep (the setting of all commands), and for one thread; each alone on the machine and
beside processes that never rest, and the ratio of the two. Each is measured in a process of its own; they
take turns, and the median counts. Nothing else should run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = {
    "spinning threads": {"OMP_WAIT_POLICY": "ACTIVE"},
    "libgomp's default": {},
    "sleeping threads": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
}


def time_steps(model: str, steps: int) -> float:
    """Return the median milliseconds of a training step in this process, after three to warm up."""
    import torch

    from fer.models.factory import build_model
    from fer.training.api import composed
    from fer.training.overrides import to_run_config

    with composed([f"model={model}"]) as config:
        settings = to_run_config(config).model
    network = build_model(settings, 7, 1, "none").to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    images = torch.rand(128, 1, settings.image_size, settings.image_size).to(
        memory_format=torch.channels_last
    )
    targets = torch.randint(7, (128,))
    times = []
    for _ in range(3 + steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), targets).backward()
        optimizer.step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[3:])


def measure(arguments: argparse.Namespace, variables: dict[str, str], busy: int) -> float:
    """Return the milliseconds of a step in a new process with these variables, beside busy processes."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    command = [sys.executable, Path(__file__), "--one", "--model", arguments.model]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        output = subprocess.run(
            [*command, "--steps", str(arguments.steps)],
            env=environment | variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        for other in others:
            other.kill()
            other.wait()
    return float(output.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="fast_cnn_fine", help="as for fer-train (default: fast_cnn_fine)")
    parser.add_argument("--busy", type=int, default=1, help="busy processes (default 1)")
    parser.add_argument("--steps", type=int, default=15, help="steps of each measurement (default 15)")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each setting (default 3)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return print(time_steps(arguments.model, arguments.steps))
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.turns):
        for name, variables in SETTINGS.items():
            for busy in (0, arguments.busy):
                times.setdefault((name, busy), []).append(measure(arguments, variables, busy))
    for name in SETTINGS:
        alone, beside = (statistics.median(times[name, busy]) for busy in (0, arguments.busy))
        ratio = f"{beside / alone:.1f} times as long"
        print(f"{name:18} {alone:6.0f} ms alone, {beside:6.0f} ms beside {arguments.busy} busy: {ratio}")
    return None


if __name__ == "__main__":
    main()
