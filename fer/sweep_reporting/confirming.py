"""The best recipes of a sweep trained again over new seeds, each run a fer-train of its own."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

from optuna.trial import FrozenTrial

from fer.errors import FerError
from fer.sweep_reporting.found import FoundSweep, words_of
from fer.training.run_folder import read_record


@dataclass(frozen=True)
class Confirmation:
    """A recipe and its runs over new seeds.

    Attributes:
        trial: That the recipe is from.
        folders: Of its finished runs.
        values: The objective of each, at its best epoch.
    """

    trial: FrozenTrial
    folders: list[Path]
    values: list[float]

    @property
    def name(self) -> str:
        """Return what the page calls it."""
        return f"trial {self.trial.number}"


def confirm(sweep: FoundSweep, seeds: int, best: int) -> None:
    """Train the best recipes over new seeds, one after the other; what is done already is kept.

    Args:
        sweep: With at least one finished trial.
        seeds: How many for each recipe.
        best: How many recipes.

    Raises:
        FerError: No trial has finished, or a run fails.
    """
    if not sweep.ranking:
        raise FerError(f"--confirm: no trial of {sweep.name} has finished, so there is no recipe to confirm.")
    runs = [(trial, seed) for trial in sweep.ranking[:best] for seed in new_seeds(sweep, seeds)]
    for number, (trial, seed) in enumerate(runs, 1):
        start, folder = time.perf_counter(), _folder(sweep, trial, seed)
        is_new = read_record(folder).get("status") != "finished"
        if is_new:
            _train(_command(sweep, trial, seed, folder), folder)
        took = f"{time.perf_counter() - start:.0f} s" if is_new else "was there"
        value = read_record(folder)["best"][sweep.objective]
        line = f"[{number}/{len(runs)}] trial {trial.number}, seed {seed}: {sweep.objective} {value:.4f}"
        print(f"{line}  {took}", flush=True)


def confirmed(sweep: FoundSweep) -> list[Confirmation]:
    """Return the recipes that have finished runs over new seeds, in the order of the search."""
    found = []
    for trial in sweep.ranking:
        records = [(path.parent, read_record(path.parent)) for path in _records(sweep, trial)]
        done = [(folder, record) for folder, record in records if record.get("status") == "finished"]
        if done:
            values = [record["best"][sweep.objective] for _, record in done]
            found.append(Confirmation(trial, [folder for folder, _ in done], values))
    return found


def place(sweep: FoundSweep) -> Path:
    """Return the folder of a sweep's runs over new seeds.

    It is named by the study's key: W&B tells runs apart by the name of this folder and their own, and a new
    sweep in an old one's folder must not take over what was confirmed there.
    """
    key = sweep.study.user_attrs.get("key")
    return sweep.folder / (f"confirm_{key}" if key else "confirm")


def new_seeds(sweep: FoundSweep, number: int) -> list[int]:
    """Return the smallest seeds from 1 that no trial of the sweep was trained with."""
    used = {sweep.study.user_attrs["base"].get("seed")}
    words = [word for trial in sweep.trials for word in words_of(trial)]
    used |= {int(word.removeprefix("seed=")) for word in words if re.fullmatch(r"seed=\d+", word)}
    return [seed for seed in range(1, number + len(used) + 1) if seed not in used][:number]


def _command(sweep: FoundSweep, trial: FrozenTrial, seed: int, folder: Path) -> list[str]:
    own = [word for word in sweep.whole_words(trial) if not word.startswith("seed=")]
    return [*own, f"seed={seed}", f"hydra.run.dir={json.dumps(str(folder), ensure_ascii=False)}"]


def _train(words: Sequence[str], folder: Path) -> None:
    """Train in a process of its own, which goes on where an earlier one was killed."""
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file() and is_zipfile(last) and (folder / "run.json").is_file():
        words = [f"resume={json.dumps(str(folder), ensure_ascii=False)}"]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    command = [sys.executable, "-m", "fer.train", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or read_record(folder).get("status") != "finished":
        raise FerError(
            f"--confirm: this failed: fer-train {' '.join(words)}. It said: {_why(done.stdout)} "
            "Mend that and type the same again: what is done is kept."
        )


def _why(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it said nothing."])[-1]


def _folder(sweep: FoundSweep, trial: FrozenTrial, seed: int) -> Path:
    return place(sweep) / f"trial_{trial.number}_s{seed}"


def _records(sweep: FoundSweep, trial: FrozenTrial) -> Iterator[Path]:
    yield from sorted(
        place(sweep).glob(f"trial_{trial.number}_s*/run.json"),
        key=lambda path: int(path.parent.name.rpartition("_s")[2]),
    )
