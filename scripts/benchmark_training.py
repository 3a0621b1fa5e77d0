"""Benchmark of fer-train: reading, augmentation, and speed compared with a bare PyTorch loop.

    uv run python scripts/benchmark_training.py $HOME/data/fer2013.csv [--experiment NAME] [--epochs 2]

Prints the time to read the data (bare file, first read, cached read), the speed of augmentation (images/s on
one core), and the speed of `fer-train` relative to a loop with the same network, optimizer, batch size,
precision and augmentation that validates as often and does nothing else. Each fit runs in a separate process;
they take turns, and the median ratio counts.
`--curve` prints instead the seconds of training until validation accuracy reaches 60, 65 and 70 %.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve()


def compose(experiment, path, *overrides):
    """Return the config of fer-train."""
    from fer.training.api import composed
    from fer.training.overrides import to_run_config

    with composed([f"experiment={experiment}", f"datamodule.path={path}", *overrides]) as config:
        return to_run_config(config)


class BareLoop:
    """A bare PyTorch training loop with the network, optimizer, batch size and precision of a config."""

    def __init__(self, config):
        import torch

        from fer.data.datamodule import read_data
        from fer.models.factory import build_model
        from fer.training.optim import build_optimizer
        from fer.training.precision import choose_precision
        from fer.training.run import build_datamodule
        from fer.training.schedules import build_scheduler

        self.config, self.device = config, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.epochs, self.batch = config.trainer.max_epochs, config.datamodule.batch_size
        self.data = build_datamodule(config, read_data(config.data))
        self.train, self.val = (self.data.split_tensors(role, self.device) for role in ("train", "val"))
        labels, channels = self.data.labels, self.data.image_channels
        self.model = build_model(config.model, len(labels), channels, config.attention)
        self.model = self.model.to(self.device, memory_format=torch.channels_last)
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=config.loss.label_smoothing)
        precision = choose_precision(config.trainer.precision, "auto", self.model)
        self.mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
        self.optimizer = build_optimizer(self.model, config.optimizer)
        steps = len(self.train["image"]) // self.batch
        schedule = build_scheduler(self.optimizer, config.scheduler, steps * self.epochs, steps, "val/loss")
        self.steps, self.scheduler = steps, schedule["scheduler"]

    def augment(self, rows, epoch=0):
        import torch

        stages = [(0.0, self.config.model.image_size), *self.config.progressive]
        size = [side for fraction, side in stages if fraction <= epoch / self.epochs + 1e-9][-1]
        image = self.data.augment(self.train["image"][rows], size)
        return image.contiguous(memory_format=torch.channels_last)

    def step(self, rows, epoch=0):
        image = self.augment(rows, epoch)
        with self.mixed:
            loss = self.loss(self.model(image), self.train["target"][rows])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()

    def fit(self):
        """Train and validate all epochs; return the seconds."""
        return sum(self.run_epoch(epoch) for epoch in range(self.epochs))

    def run_epoch(self, epoch):
        """Train and validate an epoch; return the seconds."""
        import torch

        start = time.perf_counter()
        self.model.train()
        order = torch.randperm(len(self.train["image"]), device=self.device)
        for rows in order.split(self.batch)[: self.steps]:
            self.step(rows, epoch)
        self.model.eval()
        with torch.inference_mode(), self.mixed:
            int(sum(self.count_correct(rows) for rows in torch.arange(len(self.val["image"])).split(512)))
        return time.perf_counter() - start

    def count_correct(self, rows):
        from fer.data.augment import to_float

        image = to_float(self.val["image"][rows], self.config.model.image_size)
        return (self.model(image).argmax(1) == self.val["target"][rows]).sum()


def run_bare(config):
    """Train the bare loop and print its seconds as JSON; called in a separate process."""
    from fer.core.threads import share_cores

    # The threads of fer-train, set before torch is imported.
    share_cores(config.threads)
    import torch

    torch.manual_seed(config.seed)
    print(json.dumps({"fit_seconds": BareLoop(config).fit()}))


def run_command(command, environment=None):
    """Run a command; return its standard output and its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with exit status {process.returncode}")
    return output, usage.ru_maxrss / 1024


def run_fer_train(arguments, folder, *overrides):
    """Run fer-train as a user does; return its run.json, its metrics file and its peak memory in MB."""
    command = [sys.executable, "-m", "fer.training.cli", f"experiment={arguments.experiment}"]
    command += [f"datamodule.path={arguments.data}", f"output_dir={folder}", *overrides]
    _, memory = run_command(command)
    record = max(Path(folder).glob("train/*/*/run.json"), key=lambda file: file.stat().st_mtime)
    return json.loads(record.read_text()), record.parent / "metrics.csv", memory


def compare_fits(arguments):
    """Train with fer-train and the bare loop in turns, and print the ratios."""
    ratios, memories = [], []
    overrides = [f"trainer.max_epochs={arguments.epochs}"]
    for turn in range(arguments.turns):
        output, bare_memory = run_command(
            [
                sys.executable,
                SCRIPT,
                arguments.data,
                "--bare",
                "--experiment",
                arguments.experiment,
                *("--epochs", str(arguments.epochs)),
            ]
        )
        bare = json.loads(output.splitlines()[-1])["fit_seconds"]
        with tempfile.TemporaryDirectory() as folder:
            record, _, memory = run_fer_train(arguments, folder, *overrides)
        ratios.append(bare / record["fit_seconds"])
        memories.append(memory - bare_memory)
        print(
            f"fit {turn + 1}: bare {bare:.1f} s, fer-train {record['fit_seconds']:.1f} s, "
            f"throughput ratio {ratios[-1]:.3f}; peak memory {memory:.0f} MB, {memories[-1]:+.0f} MB",
            flush=True,
        )
    print(f"fit: median throughput ratio to the bare loop {statistics.median(ratios):.3f}")
    print(f"fit: median peak memory above the bare loop {statistics.median(memories):.0f} MB")


def time_reading(path):
    """Print the seconds of reading the bare file, of the first read beyond that, and of a cached read."""
    from fer.data.config import FER2013Config
    from fer.data.readers.factory import read_dataset

    options = FER2013Config(path=str(path))
    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["FER_CACHE_DIR"] = os.environ.get("FER_CACHE_DIR"), folder
        bare, first, cached = (
            seconds(call)
            for call in (path.read_bytes, lambda: read_dataset(options), lambda: read_dataset(options))
        )
    os.environ.pop("FER_CACHE_DIR") if before is None else os.environ.update(FER_CACHE_DIR=before)
    print(f"read: bare file {bare:.2f} s, first read {first - bare:+.2f} s more, cached read {cached:.3f} s")


def time_augmentation(config):
    """Print the images/s of ``augmentation=standard`` on a core or GPU, and its part of a training step."""
    import torch

    torch.set_num_threads(1)
    loop = BareLoop(config)
    on_gpu, rows = loop.device.type == "cuda", torch.arange(loop.batch)
    # A GPU runs asynchronously.
    wait = torch.cuda.synchronize if on_gpu else bool
    augment = min(seconds(lambda: (loop.augment(rows), wait())) for _ in range(50))
    # The schedule ends after these steps.
    num_steps = loop.steps * loop.epochs
    step = min(seconds(lambda: (loop.step(rows), wait())) for _ in range(min(20, num_steps)))
    print(
        f"augmentation (standard): {len(rows) / augment:,.0f} images/s on one {'GPU' if on_gpu else 'core'}, "
        f"{augment / step:.1%} of a step of {config.model.name}"
    )


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_curve(arguments):
    """Print the seconds of training until validation accuracy reaches 60, 65 and 70 %."""
    import csv

    with tempfile.TemporaryDirectory() as folder:
        record, metrics, _ = run_fer_train(arguments, folder)
        rows = list(csv.DictReader(metrics.open()))
    for goal in (0.60, 0.65, 0.70):
        reached = [float(row["perf/fit_seconds"]) for row in rows if float(row["val/accuracy"]) >= goal]
        print(f"{goal:.0%}: " + (f"{reached[0]:.1f} s" if reached else "not reached"))
    print(f"best {record['best']['val/accuracy']:.2%} in {record['fit_seconds']:.1f} s")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="fer2013.csv")
    parser.add_argument("--experiment", default="fer2013_fast")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each fit (default 2)")
    parser.add_argument("--turns", type=int, default=3, help="number of fits with each program (default 3)")
    parser.add_argument(
        "--curve", action="store_true", help="print the seconds of the experiment to 60, 65 and 70 %%"
    )
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = compose(arguments.experiment, arguments.data, f"trainer.max_epochs={arguments.epochs}")
    if arguments.bare:
        return run_bare(config)
    if arguments.curve:
        return print_curve(arguments)
    time_reading(Path(arguments.data))
    time_augmentation(compose(arguments.experiment, arguments.data, "augmentation=standard"))
    return compare_fits(arguments)


if __name__ == "__main__":
    main()
