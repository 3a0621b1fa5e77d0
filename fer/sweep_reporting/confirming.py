"""Confirmation of a sweep: its best recipes trained again over new seeds, each run a separate fer-train."""

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
from fer.sweep_reporting.found import SweepResults, overrides_of
from fer.training.run_folder import read_record


@dataclass(frozen=True)
class Confirmation:
    """A recipe with its runs over new seeds.

    Attributes:
        trial: The trial that the recipe is from.
        folders: Folders of its finished runs.
        values: The objective of each run, at its best epoch.
    """

    trial: FrozenTrial
    folders: list[Path]
    values: list[float]

    @property
    def name(self) -> str:
        """Return its name on the page."""
        return f"trial {self.trial.number}"


def confirm(sweep: SweepResults, seeds: int, best: int) -> None:
    """Train the best recipes over new seeds, one after the other; finished runs are kept.

    Args:
        sweep: A sweep with at least one finished trial.
        seeds: Number of seeds for each recipe.
        best: Number of recipes.

    Raises:
        FerError: No trial has finished, or a run fails.
    """
    if not sweep.ranking:
        raise FerError(f"--confirm: no trial of {sweep.name} has finished, so there is no recipe to confirm.")
    runs = [(trial, seed) for trial in sweep.ranking[:best] for seed in new_seeds(sweep, seeds)]
    for number, (trial, seed) in enumerate(runs, 1):
        start, folder = time.perf_counter(), _run_folder(sweep, trial, seed)
        is_new = read_record(folder).get("status") != "finished"
        if is_new:
            _train(_overrides(sweep, trial, seed, folder), folder)
        duration = f"{time.perf_counter() - start:.0f} s" if is_new else "already done"
        value = read_record(folder)["best"][sweep.objective]
        line = f"[{number}/{len(runs)}] trial {trial.number}, seed {seed}: {sweep.objective} {value:.4f}"
        print(f"{line}  {duration}", flush=True)


def load_confirmations(sweep: SweepResults) -> list[Confirmation]:
    """Return the recipes that have finished runs over new seeds, in the ranking of the search."""
    confirmations = []
    for trial in sweep.ranking:
        records = [(path.parent, read_record(path.parent)) for path in _record_files(sweep, trial)]
        done = [(folder, record) for folder, record in records if record.get("status") == "finished"]
        if done:
            values = [record["best"][sweep.objective] for _, record in done]
            confirmations.append(Confirmation(trial, [folder for folder, _ in done], values))
    return confirmations


def confirm_folder(sweep: SweepResults) -> Path:
    """Return the folder of a sweep's runs over new seeds.

    Its name contains the study's key: W&B identifies these runs by the name of this folder and their own, and
    a new sweep in the folder of an old one must not take over the old confirmations.
    """
    key = sweep.study.user_attrs.get("key")
    return sweep.folder / (f"confirm_{key}" if key else "confirm")


def new_seeds(sweep: SweepResults, number: int) -> list[int]:
    """Return the smallest seeds from 1 that no trial of the sweep was trained with."""
    used = {sweep.study.user_attrs["base"].get("seed")}
    overrides = [override for trial in sweep.trials for override in overrides_of(trial)]
    used |= {int(item.removeprefix("seed=")) for item in overrides if re.fullmatch(r"seed=\d+", item)}
    return [seed for seed in range(1, number + len(used) + 1) if seed not in used][:number]


def _overrides(sweep: SweepResults, trial: FrozenTrial, seed: int, folder: Path) -> list[str]:
    kept = [override for override in sweep.full_overrides(trial) if not override.startswith("seed=")]
    return [*kept, f"seed={seed}", f"hydra.run.dir={json.dumps(str(folder), ensure_ascii=False)}"]


def _train(overrides: Sequence[str], folder: Path) -> None:
    """Train in a separate process; resume a run that was killed."""
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file() and is_zipfile(last) and (folder / "run.json").is_file():
        overrides = [f"resume={json.dumps(str(folder), ensure_ascii=False)}"]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    command = [sys.executable, "-m", "fer.train", *overrides]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or read_record(folder).get("status") != "finished":
        raise FerError(
            f"--confirm: a training failed: fer-train {' '.join(overrides)}. Its last message: "
            f"{_last_message(done.stdout)} Fix the cause and run the same command again; finished runs are "
            "kept."
        )


def _last_message(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["none."])[-1]


def _run_folder(sweep: SweepResults, trial: FrozenTrial, seed: int) -> Path:
    return confirm_folder(sweep) / f"trial_{trial.number}_s{seed}"


def _record_files(sweep: SweepResults, trial: FrozenTrial) -> Iterator[Path]:
    yield from sorted(
        confirm_folder(sweep).glob(f"trial_{trial.number}_s*/run.json"),
        key=lambda path: int(path.parent.name.rpartition("_s")[2]),
    )
