"""Write the studies and run folders of sweeps as fer-train does, without training."""

import csv
import json

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from fer.training.config import RunConfig
from fer.training.run_folder import write_config

OPTIMIZERS = CategoricalDistribution(["adamw", "sgd"])
LEARNING_RATES = {
    "adamw": ("optimizer.lr[adamw]", FloatDistribution(1e-4, 1e-2, log=True)),
    "sgd": ("optimizer.lr[sgd]", FloatDistribution(1e-2, 1.0, log=True)),
}
SPACE = {
    "optimizer": {"values": ["adamw", "sgd"]},
    "optimizer.lr[adamw]": {"low": 1e-4, "high": 1e-2, "log": True, "step": None},
    "optimizer.lr[sgd]": {"low": 1e-2, "high": 1.0, "log": True, "step": None},
}
COMMAND = ["datamodule=fer2013", "datamodule.path=a folder/fer2013.csv"]
KEY = "ab12"
BATCH, STEPS_PER_EPOCH, EPOCHS = 16, 10, 9
STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def write_sweep(folder, trials, direction="maximize", objective="val/accuracy", storage=None, runs=True):
    """Write a study with a trial for each ``(state, values by epoch)``, and its run folders."""
    folder.mkdir(parents=True)
    study = optuna.create_study(
        study_name=folder.name, direction=direction, storage=storage or f"sqlite:///{folder}/sweep.db"
    )
    study.set_user_attr("search", {"objective": objective, "space": SPACE})
    study.set_user_attr("command", COMMAND)
    study.set_user_attr("base", {"seed": 1})
    study.set_user_attr("key", KEY)
    for number, (state, values) in enumerate(trials):
        if state in STATES:
            best = (max if direction == "maximize" else min)(values, default=None)
            study.add_trial(_trial(number, state, values, best))
        else:
            study.enqueue_trial({})
        if state == "running":
            study.ask()
        if runs and values:
            _write_run(folder / str(number), state, len(values))
    return folder


def _trial(number, state, values, best):
    optimizer = ("adamw", "sgd")[number % 2]
    name, rate = LEARNING_RATES[optimizer]
    value = rate.low * (1 + number)
    attributes = {"words": [f"optimizer={optimizer}", f"optimizer.lr={value}"], "seconds": 2.0 * len(values)}
    attributes |= {"share": len(values) / EPOCHS} if values else {}
    attributes |= {"error": "The loss became NaN."} if state == "failed" else {"epoch": 1.0}
    return create_trial(
        state=STATES[state],
        value=best if state == "finished" else None,
        params={"optimizer": optimizer, name: value},
        distributions={"optimizer": OPTIMIZERS, name: rate},
        user_attrs=attributes,
        intermediate_values={-(-1000 * epoch // EPOCHS): value for epoch, value in enumerate(values, 1)},
    )


def _write_run(folder, state, epochs):
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"status": state, "fit_seconds": 1.5 * epochs}))
    write_config(
        folder, RunConfig(model={"name": "fast_cnn"}, datamodule={"name": "synthetic", "batch_size": BATCH})
    )
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step"])
        writer.writerows([epoch, STEPS_PER_EPOCH * epoch] for epoch in range(1, epochs + 1))


def rising(best, epochs=EPOCHS):
    """Return a value for each epoch, rising linearly to ``best``."""
    return [best * epoch / epochs for epoch in range(1, epochs + 1)]


FEW_TRIALS = [
    ("finished", rising(0.6)), ("finished", rising(0.5)), ("pruned", rising(0.2, 3)),
    ("pruned", rising(0.1, 1)), ("failed", []),
]  # fmt: skip
MANY_TRIALS = [*FEW_TRIALS, *(("pruned", rising(0.1 + 0.01 * number, 1)) for number in range(12))]
