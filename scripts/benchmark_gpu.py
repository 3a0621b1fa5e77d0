"""Benchmark of training on one GPU: time to accuracy, images/s, utilisation, and the ratio to a bare loop.

    uv run python scripts/benchmark_gpu.py $HOME/data/fer2013.csv [--experiment fer2013_gpu_fast]
        [--minutes 9] [--limit N] [--json FILE] [model.image_size=48 ...]

Trains the recipe compiled and uncompiled, after three epochs of a bare PyTorch loop with the same network,
optimizer, batch size, precision and augmentation. Prints for each the seconds of fit until the accuracy on
PublicTest reaches 60, 65, 70 and 73 %, images/s, the seconds that compiling added to the first epoch, the
utilisation of the GPU and the ratio of its speed to the bare loop: as a table, and as one line of JSON.
Stops after --minutes; a fit that is cut short is marked. Everything after the options is an override of
fer-train. Without a GPU it runs on the CPU, uncompiled unless --mode says otherwise, best with --limit.
"""

import argparse
import csv
import itertools
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from benchmark_training import BareLoop, compose, run_fer_train

from fer.core.threads import share_cores

GOALS = (0.60, 0.65, 0.70, 0.73)
BARE_EPOCHS = 3
# A fit with less time left is not started.
MIN_SECONDS = 20.0
MODES = {"compiled": "true", "uncompiled": "false"}


class Utilisation(threading.Thread):
    """Ask nvidia-smi for the utilisation of the first GPU once a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.percent: list[float] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        """Collect values until `mean` is called; none without nvidia-smi."""
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", "0"]
        while shutil.which(command[0]) and not self._stopped.wait(1.0):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode == 0 and result.stdout.strip().isdigit():
                self.percent.append(float(result.stdout))

    def mean(self) -> float | None:
        """Stop, and return the mean in percent; None if there was no value."""
        self._stopped.set()
        self.join()
        return statistics.mean(self.percent) if self.percent else None


def cut(path: Path, limit: int, folder: Path) -> Path:
    """Write the first ``limit`` training images, and a quarter as many for validation, as another file.

    FER+'s votes, if they are there, are cut in the same way.
    """
    wanted = {"Training": limit, "PublicTest": max(8, limit // 4)}
    votes = path.with_name("fer2013new.csv")
    others = votes.open() if votes.is_file() else itertools.repeat("")
    chosen, chosen_votes = [], []
    with path.open() as file:
        for number, (line, vote) in enumerate(zip(file, others, strict=False)):
            usage = line.rstrip("\n").rpartition(",")[2]
            if number == 0 or wanted.get(usage, 0) > 0:
                chosen.append(line)
                chosen_votes.append(vote)
                wanted[usage] = wanted.get(usage, 0) - 1
            if not any(wanted[name] > 0 for name in ("Training", "PublicTest")):
                break
    (folder / path.name).write_text("".join(chosen))
    if any(chosen_votes):
        (folder / votes.name).write_text("".join(chosen_votes))
    return folder / path.name


def time_bare_loop(config) -> dict[str, float]:
    """Return seconds of an epoch and images/s of the bare loop, after a first epoch to warm up."""
    loop = BareLoop(config)
    seconds = [loop.run_epoch(epoch) for epoch in range(min(BARE_EPOCHS, loop.epochs))]
    usual = statistics.median(seconds[1:] or seconds)
    return {"epoch_seconds": usual, "images_per_second": loop.steps * loop.batch / usual}


def measure_fit(arguments, mode: str, seconds: float, bare: dict[str, float]) -> dict:
    """Train the recipe with fer-train for at most some seconds; return what is printed about it."""
    utilisation = Utilisation()
    utilisation.start()
    max_time = f"trainer.max_time='00:00:{int(seconds // 60):02d}:{int(seconds % 60):02d}'"
    with tempfile.TemporaryDirectory() as folder:
        compiled = f"compile={MODES[mode]}"
        record, metrics, _ = run_fer_train(arguments, folder, *arguments.overrides, compiled, max_time)
        rows = list(csv.DictReader(metrics.open()))
    ends = [float(row["perf/fit_seconds"]) for row in rows]
    epochs = [after - before for before, after in itertools.pairwise([0.0, *ends])]
    accuracies = [float(row["val/accuracy"]) for row in rows]
    # The first epoch compiles; the bare loop has run the same ones.
    usual = statistics.median(epochs[1:] or epochs)
    compared = statistics.median(epochs[1:BARE_EPOCHS] or epochs)
    results = {}
    for goal in GOALS:
        reached = [end for end, accuracy in zip(ends, accuracies, strict=True) if accuracy >= goal]
        results[f"seconds to {goal:.0%}"] = reached[0] if reached else None
    return results | {
        "seconds of fit": record["fit_seconds"],
        "epochs": len(rows),
        "best accuracy": max(accuracies),
        "added to first epoch, s": epochs[0] - usual,
        "images/s": statistics.median(float(row["perf/images_per_second"]) for row in rows),
        "speed / bare loop": bare["epoch_seconds"] / compared,
        "GPU utilisation, %": utilisation.mean(),
    }


def print_table(results: dict[str, dict]) -> None:
    """Print a row per figure and a column per mode; a dash where there is no value."""
    print(f"\n{'':24}" + "".join(f"{mode:>12}" for mode in results))
    for name in next(iter(results.values())):
        values = [result[name] for result in results.values()]
        cells = ["-" if value is None else f"{value:,.4g}" for value in values]
        print(f"{name:24}" + "".join(f"{cell:>12}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", type=Path, help="fer2013.csv; FER+'s fer2013new.csv beside it, if you have it"
    )
    parser.add_argument("--experiment", default="fer2013_gpu_fast")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for everything (default 9)")
    parser.add_argument("--limit", type=int, help="training images to use (default all)")
    parser.add_argument("--mode", choices=[*MODES, "both"], help="default: both on a GPU, else uncompiled")
    parser.add_argument("--json", type=Path, help="file for the results as well")
    arguments, arguments.overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        results = run(arguments, Path(folder), deadline=time.monotonic() + 60 * arguments.minutes)
    line = json.dumps(results)
    print(f"\n{line}")
    if arguments.json:
        arguments.json.write_text(line + "\n")


def run(arguments, folder: Path, deadline: float) -> dict:
    """Measure everything, print the table, and return the results."""
    # As fer-train does, before torch is imported.
    share_cores()
    import torch

    has_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if has_gpu else "CPU"
    if not has_gpu:
        print("No GPU was found: this is a test of the script on the CPU, and no figure counts.")
    if not arguments.data.with_name("fer2013new.csv").is_file():
        print("Without fer2013new.csv beside the data: trained on the labels alone.")
        arguments.overrides = ["datamodule.votes=false", "loss=cross_entropy", *arguments.overrides]
    if arguments.limit:
        arguments.data = cut(arguments.data, arguments.limit, folder)
        arguments.overrides.append(f"datamodule.batch_size={max(2, min(512, arguments.limit // 2))}")
    config = compose(arguments.experiment, arguments.data, *arguments.overrides)
    bare = time_bare_loop(config)
    if has_gpu:
        torch.cuda.empty_cache()
    print(f"{device}; bare loop: {bare['images_per_second']:,.0f} images/s with validation", flush=True)
    fits = {}
    chosen = arguments.mode or ("both" if has_gpu else "uncompiled")
    for mode in MODES if chosen == "both" else [chosen]:
        left = deadline - time.monotonic()
        if left < MIN_SECONDS:
            print(f"{mode}: left out, {left:.0f} s are left of --minutes {arguments.minutes:g}")
            continue
        fits[mode] = measure_fit(arguments, mode, left - MIN_SECONDS / 2, bare)
        if fits[mode]["epochs"] < config.trainer.max_epochs:
            print(f"{mode}: cut short after {fits[mode]['epochs']} of {config.trainer.max_epochs} epochs")
    if fits:
        print_table(fits)
    return {"device": device, "torch": torch.__version__, "experiment": arguments.experiment,
            "overrides": arguments.overrides, "batch_size": config.data.batch_size,
            "bare loop": bare, "fits": fits}  # fmt: skip


if __name__ == "__main__":
    main()
