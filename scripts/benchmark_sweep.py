"""What pruning saves, what a trial costs beyond its training, and what a second worker brings.

    uv run python scripts/benchmark_sweep.py $HOME/data/fer2013.csv [--parts unpruned replay …]

* `unpruned` trains the trials to their end (random search, so that pruning does not change which are drawn);
* `replay` lets ASHA judge the recorded curves: no training. As trainings on a CPU repeat exactly, one worker
  would have pruned just so; image passes and the best trial against the unpruned ones. What one order of the
  trials gives is luck: the same is said of `--orders` others;
* `pruned` runs the same trials with ASHA for real, and sets its passes and best beside the unpruned ones;
* `cost` asks the sweeps that were run for the seconds between trials that were not spent training, those of
  reporting to the study and asking it within the training included;
* `workers` runs `--worker-trials` short trials with one worker on one core, then with two on two.

Every sweep goes on where it was stopped when the same is typed again. `--epochs 3 --limit 8` is a short try.
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
from fer.sweep.search import build_pruner
from fer.sweep_reporting.cost import both, spent
from fer.sweep_reporting.found import FoundSweep, find_sweep
from fer.training.run_folder import read_record

REDUCTION = 3


def main() -> None:
    """Run the parts that were asked for."""
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    parser.add_argument("data", type=Path, help="fer2013.csv")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--first", type=int, default=2, help="epochs before ASHA's first look (2)")
    parser.add_argument("--orders", type=int, default=200, help="orders of the trials to replay (200)")
    parser.add_argument("--limit", type=int, help="training batches an epoch, for a short try")
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
    """Let ASHA judge what was recorded."""
    recorded, pruner = found(options, "unpruned"), pruner_options(options)
    trials = sorted(recorded.ranking, key=lambda trial: trial.number)
    study = replayed(recorded, pruner, trials)
    part = share_of_passes(recorded, study)
    print(f"replayed ASHA: {part:.1%} of the image passes of the same trials unpruned")
    compare_best("replayed ASHA", study.get_trials(), recorded)
    if options.orders:
        print_orders(recorded, pruner, trials, options.orders)


def print_orders(
    recorded: FoundSweep, pruner: dict[str, object], trials: list[FrozenTrial], orders: int
) -> None:
    """Print what ASHA does over random orders of the trials."""
    draw, parts, short = random.Random(0), [], []
    top = recorded.ranking[0].value or 0.0
    for _ in range(orders):
        study = replayed(recorded, pruner, draw.sample(trials, len(trials)))
        parts.append(share_of_passes(recorded, study))
        short.append(100 * (top - study.best_value))
    near, mean = sum(lost <= 0.5 for lost in short) / orders, statistics.fmean(short)
    passes = f"{statistics.fmean(parts):.1%} of the passes ({min(parts):.1%} to {max(parts):.1%})"
    lost = f"the best falls short by {mean:.2f} points, by at most half a point in {near:.0%}"
    print(f"over {orders} orders: {passes}; {lost}")


def share_of_passes(recorded: FoundSweep, study: Study) -> float:
    """Return the image passes of a replay over those of the recorded trials; NaN where not known."""
    costs = {trial.number: spent(recorded, trial).images for trial in recorded.ranking}
    full = both(recorded)[0].images
    if not full or None in costs.values():
        return math.nan
    done = (trial.user_attrs["share"] * (costs[trial.user_attrs["old"]] or 0.0) for trial in study.trials)
    return sum(done) / full


def replayed(recorded: FoundSweep, pruner: dict[str, object], trials: Sequence[FrozenTrial]) -> Study:
    """Return a study in which a pruner (as ``sweep.pruner``) judged recorded trials, one after the other."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(
        direction=recorded.study.direction, pruner=build_pruner(pruner), storage=storage, study_name="replay"
    )
    for old in trials:
        study.enqueue_trial({}, user_attrs={"old": old.number})
        trial, state = study.ask(), TrialState.COMPLETE
        reports = sorted(old.intermediate_values.items())
        for epoch, (step, value) in enumerate(reports, 1):
            trial.report(value, step)
            trial.set_user_attr("share", epoch / len(reports))
            if epoch < len(reports) and trial.should_prune():
                state = TrialState.PRUNED
                break
        study.tell(trial, old.value if state == TrialState.COMPLETE else None, state)
    return study


def pruned(options: argparse.Namespace) -> None:
    """Run the trials with ASHA, and set them beside those without, where these are there."""
    sweep(options, "pruned", options.trials, options.epochs, "asha")
    own, other = found(options, "pruned"), found(options, "unpruned")
    mine, full = (both(one)[0] for one in (own, other))
    if mine.images and full.images:
        print(
            f"ASHA: {mine.images / full.images:.1%} of the image passes and "
            f"{mine.seconds / full.seconds:.1%} of the time of the same trials unpruned"
        )
    compare_best("ASHA", own.trials, other)


def compare_best(name: str, trials: Sequence[FrozenTrial], full: FoundSweep) -> None:
    """Print how far the best finished trial lies below the best of all."""
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    stopped = sum(trial.state == TrialState.PRUNED for trial in trials)
    best, top = max(filter(None, values)), full.ranking[0].value or 0.0
    print(
        f"{name}: {stopped} of {len(trials)} pruned; best {best:.2%}, unpruned {top:.2%}: "
        f"{100 * (best - top):+.2f} points"
    )


def cost(options: argparse.Namespace) -> None:
    """Print the seconds from the end of a trial to that of the next, its training taken off."""
    for name in ("unpruned", "pruned"):
        if (folder(options, name) / "sweep.db").is_file():
            beyond = seconds_beyond_training(found(options, name))
            print(
                f"{name}: {statistics.median(beyond):.2f} s beyond training for each trial after the first "
                f"(median; {min(beyond):.2f} to {max(beyond):.2f})" if beyond else f"{name}: one trial alone"
            )  # fmt: skip


def seconds_beyond_training(sweep_: FoundSweep) -> list[float]:
    """Return, for each trial but the first, what passed since the one before, but for its training."""
    ended = [trial for trial in sweep_.trials if trial.state.is_finished()]
    ended.sort(key=lambda trial: trial.datetime_complete or 0)
    gaps = []
    for before, trial in pairwise(ended):
        if before.datetime_complete and trial.datetime_complete:
            passed = (trial.datetime_complete - before.datetime_complete).total_seconds()
            gaps.append(passed - training_seconds(sweep_, trial))
    return [gap for gap in gaps if gap < 60.0]  # a longer one is where the sweep was stopped


def training_seconds(sweep_: FoundSweep, trial: FrozenTrial) -> float:
    """Return the seconds that the trial's run says it trained, without those the study took within them."""
    fit = float(read_record(trial_folder(sweep_.folder, trial.number)).get("fit_seconds") or 0.0)
    return fit - float(trial.user_attrs.get("watch_seconds", 0.0))


def workers(options: argparse.Namespace) -> None:
    """Print the trials an hour of one worker on a core and of two on two."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        print("this process may use one core alone: nothing to compare")
        return
    rates = []
    for number in (1, 2):
        name = f"workers_{number}"
        if not is_done(options, name):  # one that was stopped has a pause in its rate
            shutil.rmtree(folder(options, name), ignore_errors=True)
        sweep(options, name, options.worker_trials, options.worker_epochs, "none", cores[:number])
        rates.append(trials_an_hour(found(options, name)))
        print(f"{number} worker{'s' * (number > 1)}, a core each: {rates[-1]:.0f} trials an hour")
    print(f"two workers: {rates[1] / rates[0]:.2f} times the trials of one")


def is_done(options: argparse.Namespace, name: str) -> bool:
    """Return whether a sweep has run to its end."""
    if not (folder(options, name) / "sweep.db").is_file():
        return False
    return all(trial.state.is_finished() for trial in found(options, name).trials)


def trials_an_hour(sweep_: FoundSweep) -> float:
    """Return the rate of finished trials from the first one's start to the last one's end."""
    ended = [trial for trial in sweep_.ranking if trial.datetime_start and trial.datetime_complete]
    begun = min(trial.datetime_start for trial in ended if trial.datetime_start)
    done = max(trial.datetime_complete for trial in ended if trial.datetime_complete)
    return 3600 * len(ended) / (done - begun).total_seconds()


def sweep(
    options: argparse.Namespace, name: str, trials: int, epochs: int, pruner: str, cores: Sequence[int] = ()
) -> None:
    """Run a sweep, or what is left of it: a launcher for each core, or one for all."""
    words = [f"experiment={options.experiment}", f"datamodule.path={options.data}", "sweep=optimizers"]
    words += [f"sweep.name={name}", "sweep.resume=true", "sweep.sampler=random", f"sweep.n_trials={trials}"]
    words += [f"trainer.max_epochs={epochs}", f"output_dir={options.output}"]
    words += [f"sweep.pruner.{key}={value}" for key, value in pruner_options(options, pruner, epochs).items()]
    words += [f"trainer.limit_train_batches={options.limit}"] if options.limit else []
    command = [sys.executable, "-m", "fer.train", *words]
    places = [{core} for core in cores] or [os.sched_getaffinity(0)]
    started = [
        subprocess.Popen(command, preexec_fn=partial(os.sched_setaffinity, 0, place)) for place in places
    ]
    statuses = [process.wait() for process in started]  # of all, before any is judged
    if any(statuses):
        sys.exit(f"{' '.join(command)} failed")


def pruner_options(options: argparse.Namespace, name: str = "asha", epochs: int = 0) -> dict[str, object]:
    """Return ``sweep.pruner``, rounded down so that the epoch of the first look is on its rung."""
    first = math.floor(1000 * min(1.0, options.first / (epochs or options.epochs))) / 1000
    return {"name": name, "min_share": first, "reduction": REDUCTION, "startup_trials": 5}


def folder(options: argparse.Namespace, name: str) -> Path:
    """Return the folder of a sweep."""
    return Path(options.output) / "multirun" / name


def found(options: argparse.Namespace, name: str) -> FoundSweep:
    """Return a sweep that was run."""
    return find_sweep(folder(options, name), None, name)


PARTS = {"unpruned": unpruned, "replay": replay, "pruned": pruned, "cost": cost, "workers": workers}

if __name__ == "__main__":
    main()
