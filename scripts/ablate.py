"""Ablation study: change one method at a time against the same baseline, over several seeds.

    uv run python scripts/ablate.py $HOME/data [--seeds 0 1 2] [--only focal mixup] [--page docs/methods.md]

The folder holds `fer2013.csv` and, for methods with votes, `fer2013new.csv`. Each run is a complete
`fer-train`. Results are appended to `docs/methods.jsonl`, so the script can be interrupted and started again.
Cost is CPU time relative to the baseline, which hardly depends on the load of the machine.

Differences are between means over seeds; they are not paired, as a seed has no effect that methods share.
Two or three runs estimate their spread poorly, so the spread is pooled over all methods: the intervals assume
that it is the same for each method.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from field_tables import replaced
from scipy.stats import t as student_t

METRICS = ("val/accuracy", "val/macro_f1", "val/uar", "val/ece")
# Result of a run: method, seed, metrics, CPU time.
Entry = dict[str, Any]
# Metrics in the table.
SHOWN = ("val/accuracy", "val/macro_f1", "val/uar")


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: Key in the results file.
        group: Kind of method.
        overrides: Command-line overrides that switch it on.
        against: The method that it is compared with.
        start: The method whose run of the same seed gives the initial weights.
        teachers: The methods whose runs of the same seed are the teachers of a distillation.
    """

    name: str
    group: str
    overrides: tuple[str, ...]
    against: str = "baseline"
    start: str | None = None
    teachers: tuple[str, ...] = ()

    @property
    def displayed_overrides(self) -> str:
        """Return the overrides that are added to the command of the baseline."""
        start = [f"model.init_from=RUN_OF_{self.start}"] if self.start else []
        teachers = ["distill=RUNS_OF_" + ",".join(self.teachers)] if self.teachers else []
        return " ".join((*self.overrides, *start, *teachers))


def method(group: str, name: str, *overrides: str, against: str = "baseline") -> Method:
    """Return a method that ``overrides`` switch on; by default ``GROUP=NAME``."""
    return Method(name, group, overrides or (f"{group}={name}",), against)


# For schedules without a warm-up: with the peak rate of the baseline, 1e-2, accuracy stays at 43 %.
LOW_LR = "optimizer.lr=2e-3"
# Frozen to the end: only the layers after the backbone are trained.
FROZEN = ("model.freeze_epochs=999",)
FINE_TUNED = ("model.freeze_epochs=1",)
SYNTHETIC = ("datamodule=synthetic", "datamodule.num_train=12000", "datamodule.batch_size=128")
FERPLUS = ("datamodule=ferplus", "datamodule.contempt=false")
FOLDS = tuple(f"fold_{number}" for number in range(5))
METHODS = (
    Method("baseline", "baseline", ()),
    *(method("loss", name) for name in ("focal", "balanced_softmax", "logit_adjustment")),
    *(method("loss", name) for name in ("generalised_cross_entropy", "symmetric_cross_entropy")),
    method("loss", "label_smoothing", "loss.label_smoothing=0.1"),
    method("loss", "expected_labels", "loss=expected_labels", "datamodule.votes=true"),
    *(method("imbalance", name) for name in ("class_weights", "effective_number", "oversample")),
    *(method("mix", name) for name in ("mixup", "cutmix")),
    method("augmentation", "no_augmentation", "augmentation=none"),
    *(method("augmentation", name) for name in ("standard", "strong")),
    *(method("attention", name) for name in ("spatial", "cbam", "squeeze_excitation", "multi_head")),
    method("optimizer", "adam", "optimizer=adam", "optimizer.weight_decay=1e-5"),  # L2 penalty
    method("optimizer", "sgd", "optimizer=sgd", "optimizer.lr=0.1", "optimizer.weight_decay=5e-4"),
    method("optimizer", "sam", "optimizer=sam"),
    method("optimizer", "muon"),
    method("scheduler", "constant", "scheduler=constant", LOW_LR),
    method("scheduler", "cosine"),
    method("scheduler", "step", "scheduler=step", "scheduler.every_epochs=2", LOW_LR),
    method("weights", "no_ema", "ema=false"),
    method("data", "drop_leaks", "datamodule.drop_leaks=true"),
    method("data", "whole_image", "model.kwargs.margin=0"),
    method("data", "drop_not_faces", "datamodule.drop_not_faces=true"),
    method("data", "aligned", "datamodule.landmarks=yunet"),
    method("distillation", "distill", "distill=fer2013"),
    method("distillation", "distill_soft", "distill=fer2013", "distill.weight=0.8", "distill.temperature=4"),
    *(method("data", name, f"datamodule.fold={name[-1]}/5") for name in FOLDS),
    Method("distill_folds", "distillation", (), teachers=FOLDS),
    method("resolution", "64 px", "model.image_size=64"),
    method("resolution", "96 px", "model.image_size=96"),
    method("resolution", "112 px", "model.image_size=112"),
    method("resolution", "224 px", "model.image_size=224"),
    Method("ferplus", "votes", FERPLUS, against="ferplus"),
    Method("soft_targets", "votes", (*FERPLUS, "loss=soft_targets"), against="ferplus"),
    Method("synthetic_faces", "synthetic", SYNTHETIC, against="synthetic_faces"),
    Method("synthetic_frozen", "transfer", FROZEN, start="synthetic_faces"),
    Method("synthetic_tuned", "transfer", FINE_TUNED, start="synthetic_faces"),
    Method("ferplus_frozen", "transfer", FROZEN, start="ferplus"),
    Method("ferplus_tuned", "transfer", FINE_TUNED, start="ferplus"),
)
# Left out of the pooled spread: the same loss as balanced_softmax; an easier data set.
NOT_POOLED = ("logit_adjustment", "synthetic_faces")


def main() -> None:
    """Train the missing runs, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with fer2013.csv and fer2013new.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[row.name for row in METHODS], metavar="METHOD")
    parser.add_argument("--experiment", default="fer2013_quick")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path("outputs/ablation"), help="folder of the runs")
    parser.add_argument(
        "--results", type=Path, default=Path("docs/methods.jsonl"), help="JSONL file of the results"
    )
    parser.add_argument("--page", type=Path, help="Markdown page in which the table is replaced")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for row in METHODS:
            runs = done(options)
            if row.name not in options.only or (row.name, seed) in runs:
                continue
            needed = [*row.teachers, *([row.start] if row.start else [])]
            if missing := [name for name in needed if not folder_of(runs.get((name, seed)), options)]:
                print(f"{row.name}, seed {seed}: left out, since it needs a run of {missing[0]}")
                continue
            run(row, seed, options)
    table = render(list(read(options)))
    print(table)
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(replaced(page, "table", table), encoding="utf-8")


def folder_of(entry: Entry | None, options: argparse.Namespace) -> Path | None:
    """Return the folder of a run; None if it does not exist, as another machine trained it."""
    folder = Path(options.output) / entry["run"] if entry else None
    return folder if folder and folder.is_dir() else None


def run(row: Method, seed: int, options: argparse.Namespace) -> None:
    """Train one run in a separate process, and append its result."""
    overrides = [f"experiment={options.experiment}", f"trainer.max_epochs={options.epochs}"]
    if row.group != "synthetic":
        overrides.append(
            f"datamodule.path={options.data if row.group == 'votes' else options.data / 'fer2013.csv'}"
        )
    if row.start:
        overrides.append(f"model.init_from={folder_of(done(options)[row.start, seed], options)}")
    if row.teachers:
        folders = [str(folder_of(done(options)[name, seed], options)) for name in row.teachers]
        overrides.append(f"distill={','.join(folders)}")
    overrides += [f"output_dir={options.output}", *row.overrides, f"seed={seed}"]
    print(f"{row.name}, seed {seed}: fer-train {' '.join(overrides)}", flush=True)
    with subprocess.Popen(
        [sys.executable, "-m", "fer.training.cli", *overrides], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    match = re.search(r"^run +(\S.*)$", output, re.MULTILINE)
    if process.returncode or not match:
        print(f"{row.name}, seed {seed}: training failed, continuing.\n{output}", flush=True)
        return
    record = json.loads((Path(match[1]) / "run.json").read_text())
    entry = {"method": row.name, "seed": seed, "words": row.overrides}
    entry |= {"experiment": options.experiment, "epochs": options.epochs}
    entry |= {"cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1), "precision": record["precision"]}
    entry |= {"commit": record["commit"], "run": os.path.relpath(match[1], options.output)}
    entry |= {name: round(record["best"][name], 5) for name in METRICS}
    with options.results.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read(options: argparse.Namespace) -> Iterable[Entry]:
    """Yield the results with the same experiment, number of epochs and overrides."""
    overrides = {row.name: list(row.overrides) for row in METHODS}
    if options.results.exists():
        for entry in map(json.loads, options.results.read_text().splitlines()):
            expected = (options.experiment, options.epochs, overrides.get(entry["method"]))
            if (entry["experiment"], entry["epochs"], entry["words"]) == expected:
                yield entry


def done(options: argparse.Namespace) -> dict[tuple[str, int], Entry]:
    """Return the results by method and seed."""
    return {(entry["method"], entry["seed"]): entry for entry in read(options)}


def render(entries: list[Entry]) -> str:
    """Return the Markdown table: accuracy over seeds, differences from the baseline, cost."""
    lines = [
        "| method | overrides | seeds | accuracy "
        "| accuracy, points | macro-F1, points | UAR, points | cost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    spreads = {name: pooled(entries, name) for name in SHOWN}
    for row in METHODS:
        if runs := runs_of(entries, row.name):
            lines.append(line(row, runs, runs_of(entries, row.against), spreads))
    return "\n".join(lines)


def runs_of(entries: list[Entry], name: str) -> list[Entry]:
    """Return the runs of a method, one per seed."""
    return [entry for entry in entries if entry["method"] == name]


def pooled(entries: list[Entry], metric: str) -> tuple[float, int]:
    """Return the standard deviation over seeds in points, pooled over methods, and its degrees of freedom."""
    values = [[100 * run[metric] for run in runs_of(entries, row.name)] for row in METHODS
              if row.name not in NOT_POOLED]  # fmt: skip
    values = [row for row in values if len(row) > 1]
    degrees_of_freedom = sum(len(row) - 1 for row in values)
    if not degrees_of_freedom:
        return math.nan, 0
    sum_of_squares = sum(statistics.variance(row) * (len(row) - 1) for row in values)
    return math.sqrt(sum_of_squares / degrees_of_freedom), degrees_of_freedom


def line(row: Method, runs: list[Entry], base: list[Entry], spreads: dict[str, tuple[float, int]]) -> str:
    """Return the table row of a method."""
    accuracy = f"{mean(runs, 'val/accuracy'):.1%}"
    if row.name == row.against:
        others = " | ".join(f"{mean(runs, name):.1%}" for name in SHOWN[1:])
        overrides = f"`{row.displayed_overrides}`" if row.overrides else ""
        return f"| {row.name} | {overrides} | {len(runs)} | {accuracy} | | {others} | 1.0 |"
    cells = [row.name, f"`{row.displayed_overrides}`", str(len(runs)), accuracy]
    cells += [interval(runs, base, name, *spreads[name]) if base else "" for name in SHOWN]
    cells.append(f"{mean(runs, 'cpu_seconds') / mean(base, 'cpu_seconds'):.1f}" if base else "")
    return f"| {' | '.join(cells)} |"


def mean(runs: list[Entry], metric: str) -> float:
    """Return the mean over seeds."""
    return statistics.mean(run[metric] for run in runs)


def interval(
    runs: list[Entry], base: list[Entry], metric: str, spread: float, degrees_of_freedom: int
) -> str:
    """Return the difference of the means, in points, with its 95 % t-interval; bold if it excludes 0."""
    difference = 100 * (mean(runs, metric) - mean(base, metric))
    if not degrees_of_freedom:
        return f"{difference:+.1f}"
    half = student_t.ppf(0.975, degrees_of_freedom) * spread * math.sqrt(1 / len(runs) + 1 / len(base))
    text = f"{difference:+.1f} [{difference - half:+.1f}, {difference + half:+.1f}]"
    return f"**{text}**" if abs(difference) > half else text


if __name__ == "__main__":
    main()
