"""Measure what pruning saves, the overhead of a trial, and the speed-up of a second worker.

    uv run python scripts/benchmark_sweep.py $HOME/data/fer2013.csv [--parts unpruned replay …]

* `unpruned` trains all trials to their end. The search is random, so that pruning does not change the
  parameters of later trials.
* `replay` applies ASHA to the recorded learning curves, without training. Trainings on a CPU are
  reproducible, so one worker would have pruned the same trials. It prints the image passes and the best
  trial, compared with the unpruned ones, also for `--orders` random orders of the trials, because the
  result depends on the order.
* `pruned` runs the same trials with ASHA, and compares image passes and best trial with the unpruned ones.
* `cost` prints the seconds between trials that were not spent on training. Reports to the study and its
  pruning decisions during the training count as overhead.
* `workers` runs `--worker-trials` short trials with one worker on one core, then with two on two.

Each sweep is resumed if the same command is run again. For a short test: `--epochs 3 --limit 8`.
"""

import argparse
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer.sweep.compose import trial_folder
from fer.sweep.plan import build_pruner
from fer.sweep.report.results import SweepResults, load_sweep, sweep_costs, trial_cost
from fer.training.run_record import read_record

# Reduction factor of ASHA.
REDUCTION = 3


def main() -> None:
    """Run the selected parts."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("data", type=Path, help="fer2013.csv")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--first", type=int, default=2, help="epochs before ASHA's first rung (2)")
    parser.add_argument("--orders", type=int, default=200, help="orders of the trials to replay (200)")
    parser.add_argument("--limit", type=int, help="training batches per epoch, for a short test")
    parser.add_argument("--experiment", default="fer2013_quick")
    parser.add_argument("--worker-trials", type=int, default=8)
    parser.add_argument("--worker-epochs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark_sweep"))
    options = parser.parse_args()
    for part in options.parts:
        print(f"\n{part}", flush=True)
        PARTS[part](options)


def unpruned(options: argparse.Namespace) -> None:
    """Train all trials to their end."""
    sweep(options, "unpruned", options.trials, options.epochs, "none")


def replay(options: argparse.Namespace) -> None:
    """Apply ASHA to the recorded learning curves."""
    recorded, pruner = load(options, "unpruned"), pruner_options(options)
    trials = sorted(recorded.ranking, key=lambda trial: trial.number)
    study = replay_study(recorded, pruner, trials)
    fraction = fraction_of_passes(recorded, study)
    print(f"replayed ASHA: {fraction:.1%} of the image passes of the same trials unpruned")
    compare_best("replayed ASHA", study.get_trials(), recorded)
    if options.orders:
        print_orders(recorded, pruner, trials, options.orders)


def print_orders(
    recorded: SweepResults, pruner: dict[str, object], trials: list[FrozenTrial], orders: int
) -> None:
    """Print image passes and loss of accuracy of ASHA over random orders of the trials."""
    rng, fractions, shortfalls = random.Random(0), [], []
    top = recorded.ranking[0].value or 0.0
    for _ in range(orders):
        study = replay_study(recorded, pruner, rng.sample(trials, len(trials)))
        fractions.append(fraction_of_passes(recorded, study))
        shortfalls.append(100 * (top - study.best_value))
    near, mean = sum(points <= 0.5 for points in shortfalls) / orders, statistics.fmean(shortfalls)
    passes = (
        f"{statistics.fmean(fractions):.1%} of the image passes "
        f"({min(fractions):.1%} to {max(fractions):.1%})"
    )
    shortfall = f"the best is {mean:.2f} points worse, at most half a point in {near:.0%} of the orders"
    print(f"over {orders} orders: {passes}; {shortfall}")


def fraction_of_passes(recorded: SweepResults, study: Study) -> float:
    """Return the image passes of a replay as a fraction of those of the recorded trials; NaN if unknown."""
    costs = {trial.number: trial_cost(recorded, trial).images for trial in recorded.ranking}
    full = sweep_costs(recorded)[0].images
    if not full or None in costs.values():
        return math.nan
    done = (
        trial.user_attrs["share"] * (costs[trial.user_attrs["recorded"]] or 0.0) for trial in study.trials
    )
    return sum(done) / full


def replay_study(recorded: SweepResults, pruner: dict[str, object], trials: Sequence[FrozenTrial]) -> Study:
    """Return a study in which a pruner (as ``sweep.pruner``) has judged the recorded trials in this order."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(
        direction=recorded.study.direction, pruner=build_pruner(pruner), storage=storage, study_name="replay"
    )
    for original in trials:
        study.enqueue_trial({}, user_attrs={"recorded": original.number})
        trial, state = study.ask(), TrialState.COMPLETE
        reports = sorted(original.intermediate_values.items())
        for epoch, (step, value) in enumerate(reports, 1):
            trial.report(value, step)
            trial.set_user_attr("share", epoch / len(reports))
            if epoch < len(reports) and trial.should_prune():
                state = TrialState.PRUNED
                break
        study.tell(trial, original.value if state == TrialState.COMPLETE else None, state)
    return study


def pruned(options: argparse.Namespace) -> None:
    """Run the trials with ASHA, and compare them with the unpruned ones."""
    sweep(options, "pruned", options.trials, options.epochs, "asha")
    asha, full = load(options, "pruned"), load(options, "unpruned")
    asha_cost, full_cost = (sweep_costs(results)[0] for results in (asha, full))
    if asha_cost.images and full_cost.images:
        print(
            f"ASHA: {asha_cost.images / full_cost.images:.1%} of the image passes and "
            f"{asha_cost.seconds / full_cost.seconds:.1%} of the time of the same trials unpruned"
        )
    compare_best("ASHA", asha.trials, full)


def compare_best(name: str, trials: Sequence[FrozenTrial], full: SweepResults) -> None:
    """Print how far the best finished trial is below the best of the unpruned trials."""
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    count = sum(trial.state == TrialState.PRUNED for trial in trials)
    best, top = max(filter(None, values)), full.ranking[0].value or 0.0
    print(
        f"{name}: {count} of {len(trials)} pruned; best {best:.2%}, unpruned {top:.2%}: "
        f"{100 * (best - top):+.2f} points"
    )


def cost(options: argparse.Namespace) -> None:
    """Print the overhead of a trial: seconds since the end of the previous one, minus its training."""
    for name in ("unpruned", "pruned"):
        if (folder(options, name) / "sweep.db").is_file():
            overheads = overhead_seconds(load(options, name))
            if not overheads:
                print(f"{name}: only one trial")
                continue
            print(
                f"{name}: {statistics.median(overheads):.2f} s of overhead for each trial after the first "
                f"(median; {min(overheads):.2f} to {max(overheads):.2f})"
            )


def overhead_seconds(results: SweepResults) -> list[float]:
    """Return, for each trial but the first, the time since the end of the previous one minus its training."""
    ended = [trial for trial in results.trials if trial.state.is_finished()]
    ended.sort(key=lambda trial: trial.datetime_complete or 0)
    gaps = []
    for before, trial in pairwise(ended):
        if before.datetime_complete and trial.datetime_complete:
            passed = (trial.datetime_complete - before.datetime_complete).total_seconds()
            gaps.append(passed - training_seconds(results, trial))
    # A longer gap is an interruption of the sweep.
    return [gap for gap in gaps if gap < 60.0]


def training_seconds(results: SweepResults, trial: FrozenTrial) -> float:
    """Return the training seconds of a trial, without the reports to the study during the training."""
    fit = float(read_record(trial_folder(results.folder, trial)).fit_seconds or 0.0)
    return fit - float(trial.user_attrs.get("watch_seconds", 0.0))


def workers(options: argparse.Namespace) -> None:
    """Print the trials per hour of one worker on one core and of two workers on two."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        print("this process may use only one core, so there is nothing to compare")
        return
    rates = []
    for number in (1, 2):
        name = f"workers_{number}"
        # The rate of an interrupted sweep would be wrong, so it is started again.
        if not is_done(options, name):
            shutil.rmtree(folder(options, name), ignore_errors=True)
        sweep(options, name, options.worker_trials, options.worker_epochs, "none", cores[:number])
        rates.append(trials_per_hour(load(options, name)))
        print(f"{number} worker{'s' * (number > 1)}, one core each: {rates[-1]:.0f} trials per hour")
    print(f"two workers: {rates[1] / rates[0]:.2f} times the rate of one")


def is_done(options: argparse.Namespace, name: str) -> bool:
    """Return whether all trials of a sweep have ended."""
    if not (folder(options, name) / "sweep.db").is_file():
        return False
    return all(trial.state.is_finished() for trial in load(options, name).trials)


def trials_per_hour(results: SweepResults) -> float:
    """Return the finished trials per hour, from the start of the first to the end of the last."""
    ended = [trial for trial in results.ranking if trial.datetime_start and trial.datetime_complete]
    start = min(trial.datetime_start for trial in ended if trial.datetime_start)
    end = max(trial.datetime_complete for trial in ended if trial.datetime_complete)
    return 3600 * len(ended) / (end - start).total_seconds()


def sweep(
    options: argparse.Namespace, name: str, trials: int, epochs: int, pruner: str, cores: Sequence[int] = ()
) -> None:
    """Run or resume a sweep: one launcher for each core, or one for all."""
    overrides = [f"experiment={options.experiment}", f"datamodule.path={options.data}", "sweep=optimizers"]
    overrides += [f"sweep.name={name}", "sweep.resume=true"]
    overrides += ["sweep.sampler=random", f"sweep.n_trials={trials}"]
    overrides += [f"trainer.max_epochs={epochs}", f"output_dir={options.output}"]
    settings = pruner_options(options, pruner, epochs)
    overrides += [f"sweep.pruner.{key}={value}" for key, value in settings.items()]
    overrides += [f"trainer.limit_train_batches={options.limit}"] if options.limit else []
    command = [sys.executable, "-m", "fer.training.cli", *overrides]
    core_sets = [{core} for core in cores] or [os.sched_getaffinity(0)]
    processes = [
        subprocess.Popen(command, preexec_fn=partial(os.sched_setaffinity, 0, core_set))
        for core_set in core_sets
    ]
    # Waits for all before exiting.
    statuses = [process.wait() for process in processes]
    if any(statuses):
        sys.exit(f"{' '.join(command)} failed")


def pruner_options(options: argparse.Namespace, name: str = "asha", epochs: int = 0) -> dict[str, object]:
    """Return ``sweep.pruner``; min_share is rounded down, so that the first epochs reach the first rung."""
    first = math.floor(1000 * min(1.0, options.first / (epochs or options.epochs))) / 1000
    return {"name": name, "min_share": first, "reduction": REDUCTION, "startup_trials": 5}


def folder(options: argparse.Namespace, name: str) -> Path:
    """Return the folder of a sweep."""
    return Path(options.output) / "multirun" / name


def load(options: argparse.Namespace, name: str) -> SweepResults:
    """Return the results of a sweep that was run."""
    return load_sweep(folder(options, name), None, name)


PARTS = {"unpruned": unpruned, "replay": replay, "pruned": pruned, "cost": cost, "workers": workers}

if __name__ == "__main__":
    main()
