"""Helpers for sweeps of a few seconds: a tiny network and a few synthetic faces."""

import time

from forked import ForkedTrain

from fer.sweep.plan import Plan
from fer.sweep.space import parse_space

NET = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "model.image_size=16")
FACES = (
    "datamodule.num_train=64", "datamodule.num_val=32", "datamodule.num_test=8", "datamodule.size=16",
    "datamodule.batch_size=16",
)  # fmt: skip
SMALL = (*NET, *FACES)
RATES = "sweep.space={optimizer.lr:{low:1e-4,high:1e-2,log:true}}"


def launch(output, *overrides):
    """Start a sweep in a process of its own."""
    return ForkedTrain(f"output_dir={output}", *SMALL, *overrides)


def finish(process):
    """Wait until a process has ended well, and return its output."""
    output = "".join(process.communicate(timeout=250))
    assert process.returncode == 0, output
    return output


def plan_for(folder, address, n_trials=4, space=None, **changes):
    values = {
        "name": "some", "folder": folder, "address": address, "objective": "val/accuracy",
        "space": parse_space(space or {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}),
        "n_trials": n_trials, "sampler": "tpe",
        "pruner": {"name": "asha", "min_share": 0.3, "reduction": 3, "startup_trials": 5}, "seed": 0,
        "max_failed_share": 0.5, "keep_pruned": False, "overrides": [], "workers": 1,
        "workers_per_machine": 1, "session": "one",
    }  # fmt: skip
    return Plan.from_dict(values | changes)


def wait_for(condition, seconds=60.0):
    """Call a condition until its value is true, and return that value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError
