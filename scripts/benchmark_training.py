"""How much of a bare PyTorch loop's speed a run of fer-train keeps, and what else a run costs.

    uv run python scripts/benchmark_training.py $HOME/data/fer2013.csv [--experiment NAME] [--epochs 2]

Prints reading (bare file, first, cached), augmentation (images/s on one core), and fit: `fer-train` against a
loop with the same net, optimizer, batch, precision and augmentation that validates as often and does nothing
else. Each fit is a process of its own; they take turns, and the median ratio counts.
`--curve` prints instead the seconds of fit until validation accuracy reached 60, 65 and 70 %.
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


def compose(experiment, path, *words):
    """Return the plain config that fer-train would compose."""
    import hydra
    from omegaconf import OmegaConf

    from fer.options import CONFIG_DIR

    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", [f"experiment={experiment}", f"datamodule.path={path}", *words])
    return OmegaConf.to_container(config, resolve=True)


def bare_fit(config):
    """Train and validate as the config says, and nothing else; return seconds."""
    import torch

    from fer.data.augment import to_float
    from fer.models import build_model
    from fer.optim import build_optimizer, build_scheduler
    from fer.training import build_datamodule, choose_precision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    datamodule = build_datamodule(config)
    num_classes, channels = len(datamodule.data.labels), datamodule.image_channels
    train, val = (datamodule._on_device(role, torch.device(device)) for role in ("train", "val"))
    model = build_model({**config["model"], "attention": config["attention"]}, num_classes, channels)
    model = model.to(device, memory_format=torch.channels_last)
    batch, epochs, size = (
        config["datamodule"]["batch_size"],
        config["trainer"]["max_epochs"],
        config["model"]["image_size"],
    )
    steps = len(train["image"]) // batch
    optimizer = build_optimizer(model, config["optimizer"])
    scheduler = build_scheduler(optimizer, config["scheduler"], steps * epochs, steps, "val/loss")[
        "scheduler"
    ]
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=config["loss"]["label_smoothing"])
    mixed = torch.autocast(device, torch.bfloat16, enabled=choose_precision("auto") == "bf16-mixed")
    clip = config["trainer"]["gradient_clip_val"]
    start = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        sizes = [side for share, side in config["progressive"] if share <= epoch / epochs + 1e-9]
        side = sizes[-1] if sizes else size
        for rows in torch.randperm(len(train["image"]), device=device).split(batch)[:steps]:
            image = datamodule.augment(train["image"][rows], side).contiguous(
                memory_format=torch.channels_last
            )
            with mixed:
                loss = loss_of(model(image), train["target"][rows])
            optimizer.zero_grad()
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
        model.eval()
        with torch.inference_mode(), mixed:
            hits = sum(
                (model(to_float(images, size)).argmax(1) == target).sum()
                for images, target in zip(val["image"].split(512), val["target"].split(512), strict=True)
            )
        int(hits)
    return time.perf_counter() - start


def run_bare(config):
    """Print the seconds of the bare loop, from a process of its own."""
    import torch

    torch.manual_seed(config["seed"])
    print(json.dumps({"fit_seconds": bare_fit(config)}))


def in_process(command, environment=None):
    """Run a command; return its standard output and its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with status {process.returncode}")
    return output, usage.ru_maxrss / 1024


def fit_ours(arguments, folder, *words):
    """Run fer-train as a user does; return its run.json, its metrics and its peak memory in MB."""
    command = [sys.executable, "-m", "fer.train", f"experiment={arguments.experiment}"]
    command += [f"datamodule.path={arguments.data}", f"output_dir={folder}", *words]
    _, memory = in_process(command)
    record = max(Path(folder).glob("train/*/*/run.json"), key=lambda file: file.stat().st_mtime)
    return json.loads(record.read_text()), record.parent / "metrics.csv", memory


def compare_fits(arguments):
    """Let fer-train and the bare loop take turns."""
    ratios, memories = [], []
    words = [f"trainer.max_epochs={arguments.epochs}"]
    for turn in range(arguments.turns):
        output, bare_memory = in_process(
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
            record, _, memory = fit_ours(arguments, folder, *words)
        ratios.append(bare / record["fit_seconds"])
        memories.append(memory - bare_memory)
        print(
            f"fit {turn + 1}: bare {bare:.1f} s, fer-train {record['fit_seconds']:.1f} s, "
            f"throughput ratio {ratios[-1]:.3f}; peak memory {memory:.0f} MB, {memories[-1]:+.0f} MB"
        )
    print(f"fit: median throughput ratio to the bare loop {statistics.median(ratios):.3f}")
    print(f"fit: median peak memory above the bare loop {statistics.median(memories):.0f} MB")


def time_reading(path):
    """Print bare read, first read beyond it, and cached read."""
    from fer.data.sources import read

    options = {"name": "fer2013", "path": str(path)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FER_CACHE_DIR"] = folder
        bare, first, cached = (
            seconds(call) for call in (path.read_bytes, lambda: read(options), lambda: read(options))
        )
    os.environ.pop("FER_CACHE_DIR")
    print(
        f"read: bare file {bare:.2f} s, first read {first - bare:+.2f} s beyond it, "
        f"cached read {cached:.3f} s"
    )


def time_augmentation(config):
    """Print images/s of augmentation on one core."""
    import torch

    from fer.data.augment import BatchAugmentation, Recipe, to_float

    torch.set_num_threads(1)
    images = torch.randint(0, 256, (config["datamodule"]["batch_size"], 1, 48, 48), dtype=torch.uint8)
    augment = BatchAugmentation(Recipe(**config["augmentation"]))
    augmented = min(seconds(lambda: augment(images, 48)) for _ in range(50))
    plain = min(seconds(lambda: to_float(images, 48)) for _ in range(50))
    print(
        f"augmentation: {len(images) / augmented:,.0f} images/s on one core at 48 px; "
        f"conversion to float alone {len(images) / plain:,.0f}, ratio {plain / augmented:.2f}"
    )


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_curve(arguments):
    """Print the seconds of fit until validation accuracy reached 60, 65 and 70 %."""
    import csv

    with tempfile.TemporaryDirectory() as folder:
        record, metrics, _ = fit_ours(arguments, folder)
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
    parser.add_argument("--epochs", type=int, default=2, help="of each fit (default 2)")
    parser.add_argument("--turns", type=int, default=3, help="fits of each kind (default 3)")
    parser.add_argument(
        "--curve", action="store_true", help="seconds to 60, 65 and 70 %% of the whole experiment"
    )
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = compose(arguments.experiment, arguments.data, f"trainer.max_epochs={arguments.epochs}")
    if arguments.bare:
        return run_bare(config)
    if arguments.curve:
        return print_curve(arguments)
    time_reading(Path(arguments.data))
    time_augmentation(compose("fer2013_10min", arguments.data, "augmentation=standard"))
    return compare_fits(arguments)


if __name__ == "__main__":
    main()
