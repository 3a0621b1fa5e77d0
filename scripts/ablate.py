"""Switch each method on alone against the same baseline, over several seeds, and write down what it did.

    uv run python scripts/ablate.py $HOME/data [--seeds 0 1 2] [--only focal mixup] [--page docs/methods.md]

The folder holds `fer2013.csv` and, for the rows on votes, `fer2013new.csv`. Every run is a whole `fer-train`;
what is done is kept in `docs/methods.jsonl`, so that the script may be stopped and started again. Cost is
processor time against the baseline's: it hardly depends on what else the machine does.

Differences are those of means over seeds: a seed has no effect of its own that pairing would take out. Two or
three runs say little about their spread, so that is pooled over all methods: the intervals hold if seeds
scatter alike under each.
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

from scipy.stats import t as student_t

METRICS = ("val/accuracy", "val/macro_f1", "val/uar", "val/ece")
Entry = dict[str, Any]  # of a run: method, seed, metrics, processor time
SHOWN = ("val/accuracy", "val/macro_f1", "val/uar")


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: Its key.
        group: The heading it stands under.
        words: Words of the command line that switch it on.
        against: The method it is compared with.
        start: The method whose run of the same seed it takes its first weights from.
    """

    name: str
    group: str
    words: tuple[str, ...]
    against: str = "baseline"
    start: str | None = None

    @property
    def shown(self) -> str:
        """Return what is added to the baseline's command."""
        return " ".join((*self.words, *([f"model.init_from=RUN_OF_{self.start}"] if self.start else [])))


def method(group: str, name: str, *words: str, against: str = "baseline") -> Method:
    """Return a method that is switched on by ``words``, or by its name as an option of the group."""
    return Method(name, group, words or (f"{group}={name}",), against)


SLOWER = "optimizer.lr=2e-3"  # without a warm-up the baseline's peak of 1e-2 leads nowhere: 43 %
FROZEN = ("model.freeze_epochs=999",)  # to the end: only what follows the backbone is trained
TUNED = ("model.freeze_epochs=1",)
SYNTHETIC = ("datamodule=synthetic", "datamodule.num_train=12000", "datamodule.batch_size=128")
FERPLUS = ("datamodule=ferplus", "datamodule.contempt=false")
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
    method("optimizer", "adam", "optimizer=adam", "optimizer.weight_decay=1e-5"),  # there an L2 penalty
    method("optimizer", "sgd", "optimizer=sgd", "optimizer.lr=0.1", "optimizer.weight_decay=5e-4"),
    method("optimizer", "sam", "optimizer=sam"),
    method("optimizer", "muon"),
    method("scheduler", "constant", "scheduler=constant", SLOWER),
    method("scheduler", "cosine"),
    method("scheduler", "step", "scheduler=step", "scheduler.every_epochs=2", SLOWER),
    method("weights", "no_ema", "ema=false"),
    method("data", "drop_leaks", "datamodule.drop_leaks=true"),
    method("data", "whole_image", "model.kwargs.margin=0"),
    method("resolution", "64 px", "model.image_size=64"),
    method("resolution", "96 px", "model.image_size=96"),
    method("resolution", "112 px", "model.image_size=112"),
    method("resolution", "224 px", "model.image_size=224"),
    Method("ferplus", "votes", FERPLUS, against="ferplus"),
    Method("soft_targets", "votes", (*FERPLUS, "loss=soft_targets"), against="ferplus"),
    Method("synthetic_faces", "synthetic", SYNTHETIC, against="synthetic_faces"),
    Method("synthetic_frozen", "transfer", FROZEN, start="synthetic_faces"),
    Method("synthetic_tuned", "transfer", TUNED, start="synthetic_faces"),
    Method("ferplus_frozen", "transfer", FROZEN, start="ferplus"),
    Method("ferplus_tuned", "transfer", TUNED, start="ferplus"),
)
NOT_POOLED = ("logit_adjustment", "synthetic_faces")  # the same as balanced_softmax; easier images


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of fer2013.csv and fer2013new.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[row.name for row in METHODS], metavar="METHOD")
    parser.add_argument("--experiment", default="fer2013_quick")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path("outputs/ablation"), help="folder of the runs")
    parser.add_argument("--results", type=Path, default=Path("docs/methods.jsonl"), help="what came of them")
    parser.add_argument("--page", type=Path, help="Markdown page whose table is replaced")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for row in METHODS:
            runs = done(options)
            if row.name not in options.only or (row.name, seed) in runs:
                continue
            if row.start and not folder_of(runs.get((row.start, seed)), options):
                print(f"{row.name}, seed {seed}: left out, since it starts from a run of {row.start}")
                continue
            run(row, seed, options)
    table = render(list(read(options)))
    print(table)
    if options.page:
        write_table(options.page, table)


def folder_of(entry: Entry | None, options: argparse.Namespace) -> Path | None:
    """Return the folder of a run; None where it is not there, since another machine trained it."""
    folder = Path(options.output) / entry["run"] if entry else None
    return folder if folder and folder.is_dir() else None


def run(row: Method, seed: int, options: argparse.Namespace) -> None:
    """Train once in a process of its own, and keep the result."""
    words = [f"experiment={options.experiment}", f"trainer.max_epochs={options.epochs}"]
    if row.group != "synthetic":
        words.append(
            f"datamodule.path={options.data if row.group == 'votes' else options.data / 'fer2013.csv'}"
        )
    if row.start:
        words.append(f"model.init_from={folder_of(done(options)[row.start, seed], options)}")
    words += [f"output_dir={options.output}", *row.words, f"seed={seed}"]
    print(f"{row.name}, seed {seed}: fer-train {' '.join(words)}", flush=True)
    with subprocess.Popen(
        [sys.executable, "-m", "fer.train", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"^run +(\S.*)$", output, re.MULTILINE)
    if process.returncode or not found:
        print(f"{row.name} failed; going on with the others.\n{output}", flush=True)
        return
    record = json.loads((Path(found[1]) / "run.json").read_text())
    entry = {"method": row.name, "seed": seed, "words": row.words}
    entry |= {"experiment": options.experiment, "epochs": options.epochs}
    entry |= {"cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1), "precision": record["precision"]}
    entry |= {"commit": record["commit"], "run": os.path.relpath(found[1], options.output)}
    entry |= {name: round(record["best"][name], 5) for name in METRICS}
    with options.results.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read(options: argparse.Namespace) -> Iterable[Entry]:
    """Yield what has been done with this experiment, as many epochs and the same words."""
    words = {row.name: list(row.words) for row in METHODS}
    if options.results.exists():
        for entry in map(json.loads, options.results.read_text().splitlines()):
            asked = (options.experiment, options.epochs, words.get(entry["method"]))
            if (entry["experiment"], entry["epochs"], entry["words"]) == asked:
                yield entry


def done(options: argparse.Namespace) -> dict[tuple[str, int], Entry]:
    """Return each run that is there, by method and seed."""
    return {(entry["method"], entry["seed"]): entry for entry in read(options)}


def render(entries: list[Entry]) -> str:
    """Return the table: accuracy over seeds, differences to the baseline, cost."""
    lines = [
        "| method | overrides | seeds | accuracy "
        "| accuracy, points | macro-F1, points | UAR, points | cost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    spreads = {name: pooled(entries, name) for name in SHOWN}
    for row in METHODS:
        if own := runs_of(entries, row.name):
            lines.append(line(row, own, runs_of(entries, row.against), spreads))
    return "\n".join(lines)


def runs_of(entries: list[Entry], name: str) -> list[Entry]:
    """Return the runs of a method, one a seed."""
    return [entry for entry in entries if entry["method"] == name]


def pooled(entries: list[Entry], metric: str) -> tuple[float, int]:
    """Return the standard deviation over seeds, in points, pooled over all methods, and its degrees."""
    values = [[100 * run[metric] for run in runs_of(entries, row.name)] for row in METHODS
              if row.name not in NOT_POOLED]  # fmt: skip
    values = [row for row in values if len(row) > 1]
    degrees = sum(len(row) - 1 for row in values)
    if not degrees:
        return math.nan, 0
    return math.sqrt(sum(statistics.variance(row) * (len(row) - 1) for row in values) / degrees), degrees


def line(row: Method, own: list[Entry], base: list[Entry], spreads: dict[str, tuple[float, int]]) -> str:
    """Return a method's line of the table."""
    accuracy = f"{mean(own, 'val/accuracy'):.1%}"
    if row.name == row.against:
        others = " | ".join(f"{mean(own, name):.1%}" for name in SHOWN[1:])
        words = f"`{row.shown}`" if row.words else ""
        return f"| {row.name} | {words} | {len(own)} | {accuracy} | | {others} | 1.0 |"
    cells = [row.name, f"`{row.shown}`", str(len(own)), accuracy]
    cells += [interval(own, base, name, *spreads[name]) if base else "" for name in SHOWN]
    cells.append(f"{mean(own, 'cpu_seconds') / mean(base, 'cpu_seconds'):.1f}" if base else "")
    return f"| {' | '.join(cells)} |"


def mean(runs: list[Entry], metric: str) -> float:
    """Return the mean over seeds."""
    return statistics.mean(run[metric] for run in runs)


def interval(own: list[Entry], base: list[Entry], metric: str, spread: float, degrees: int) -> str:
    """Return the difference of the means, in points, with its 95 % t-interval; in bold where 0 is outside."""
    middle = 100 * (mean(own, metric) - mean(base, metric))
    if not degrees:
        return f"{middle:+.1f}"
    half = student_t.ppf(0.975, degrees) * spread * math.sqrt(1 / len(own) + 1 / len(base))
    text = f"{middle:+.1f} [{middle - half:+.1f}, {middle + half:+.1f}]"
    return f"**{text}**" if abs(middle) > half else text


def write_table(page: Path, table: str) -> None:
    """Put the table between the page's marks."""
    start, end = "<!-- table -->", "<!-- /table -->"
    before, rest = page.read_text().split(start)
    page.write_text(f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
