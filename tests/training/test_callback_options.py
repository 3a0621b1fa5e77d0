"""Optional callbacks: stochastic weight averaging, monitors of rates and devices, profilers, barebones."""

import csv

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from fer.models.checkpoint import load_checkpoint
from fer.training.averaging import update_batch_norm
from fer.training.config import RunConfig

# A network that trains in a moment.
NET = ("model=fast_cnn_inner", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]")


def rows_of(run):
    return list(csv.DictReader((run.folder / "metrics.csv").open()))


def weights(run, name):
    return load_checkpoint(run.folder / "checkpoints" / f"{name}.ckpt").model.state_dict()


def test_swa_averages_the_last_epochs_at_a_constant_rate(tiny_run):
    run = tiny_run("callbacks=swa", "callbacks.swa.start=0.5", "trainer.max_epochs=4", *NET)
    rows = rows_of(run)
    assert [row["train/swa_epochs"] for row in rows] == ["", "1.0", "2.0", "3.0"]
    assert rows[1]["lr"] == rows[2]["lr"] == rows[3]["lr"]
    assert float(rows[0]["lr"]) > float(rows[1]["lr"])


@pytest.fixture
def constant_swa(tiny_run):
    """Train two batches per epoch, averaging from the first epoch on; return the last checkpoint."""

    def call(steps):
        run = tiny_run(
            "callbacks=swa", "callbacks.swa.start=0", "scheduler=constant", *NET,
            "trainer.max_epochs=3", f"trainer.max_steps={steps}",
        )  # fmt: skip
        return torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)

    return call


def test_the_checkpoint_of_swa_is_the_mean_of_the_epochs(constant_swa):
    contents = [constant_swa(steps) for steps in (2, 4, 6)]
    for name, value in contents[-1]["state_dict"].items():
        if name.endswith(("weight", "bias")):
            current = torch.stack([content["current_model_state"][name] for content in contents])
            torch.testing.assert_close(value, current.mean(0), rtol=1e-4, atol=1e-6)


def test_swa_is_resumed_exactly(tiny_run, fer_train):
    options = ("callbacks=swa", "callbacks.swa.start=0.25", "trainer.max_epochs=4", *NET)
    whole = tiny_run(*options)
    stopped = tiny_run(*options, "+callbacks.stop._target_=own_callbacks.StopAfter")
    assert stopped.record["status"] == "failed"
    assert fer_train(f"resume={stopped.folder}", "+callbacks.stop=null").status == 0
    expected, resumed = weights(whole, "last"), weights(stopped, "last")
    assert all(torch.equal(value, resumed[name]) for name, value in expected.items())


@pytest.mark.parametrize(
    "options",
    [
        "trainer.precision=bf16-true",
        "trainer.precision=64-true",
        "optimizer=sam scheduler=onecycle",
        "progressive=[[0,32],[0.5,48]]",
    ],
)
def test_swa_works_with(options, tiny_run):
    options = [*NET, "callbacks=swa", "callbacks.swa.start=0", *options.split()]
    run = tiny_run(*options, "trainer.max_epochs=2")
    assert [row["train/swa_epochs"] for row in rows_of(run)] == ["1.0", "2.0"]


def test_swa_and_ema_exclude_each_other(tiny_run, capsys):
    assert tiny_run("callbacks=swa", "ema=true").status == 2
    assert "callbacks.swa: expected one average of the weights" in capsys.readouterr().err


def test_batch_norm_statistics_are_those_of_the_averaged_network(tiny_run):
    """The statistics in the checkpoint differ from the running ones of the weights that were trained."""
    run = tiny_run("callbacks=swa", "callbacks.swa.start=0", "trainer.max_epochs=2", *NET)
    content = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    name = next(name for name in content["state_dict"] if name.endswith("running_var"))
    assert not torch.equal(content["state_dict"][name], content["current_model_state"][name])
    count = name.replace("running_var", "num_batches_tracked")
    # Two batches of the last epoch, not those of all epochs.
    assert int(content["state_dict"][count]) == 2


@pytest.mark.parametrize("name", ["lr_monitor", "device_stats"])
def test_monitors_log_every_step(name, tiny_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tiny_run(f"callbacks={name}", "logger=tensorboard", "trainer.log_every_n_steps=1")
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    prefix = {"lr_monitor": "lr-", "device_stats": "DeviceStatsMonitor"}[name]
    assert any(tag.startswith(prefix) for tag in events.Tags()["scalars"])


def test_monitors_need_a_logger(tiny_run, capsys):
    assert tiny_run("callbacks=lr_monitor").status == 2
    assert "Add logger=tensorboard or logger=wandb." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("callbacks=[swa,lr_monitor]", {"swa": {"start": 0.75}, "lr_monitor": True, "device_stats": False}),
        (
            "callbacks=swa callbacks.swa.start=0.5",
            {"swa": {"start": 0.5}, "lr_monitor": False, "device_stats": False},
        ),
        ("callbacks=none", {"swa": None, "lr_monitor": False, "device_stats": False}),
        ("callbacks=default", {"swa": None, "lr_monitor": False, "device_stats": False}),
    ],
)
def test_choices(overrides, expected):
    from test_run_config import compose

    assert OmegaConf.to_container(compose(*overrides.split()).callbacks) == expected


def test_none_turns_off_what_was_chosen(tiny_run):
    run = tiny_run("callbacks=none")
    assert (run.folder / "checkpoints" / "best.ckpt").is_file()
    assert RunConfig.of({"model": {"name": "fast_cnn"}}).callbacks.swa is None


PROFILES = {"simple": "run_training_batch", "advanced": "Profile stats", "pytorch": "Optimizer.step"}


@pytest.mark.parametrize("profiler", PROFILES)
def test_profiler_prints_and_leaves_its_file(profiler, tiny_run, capfd):
    run = tiny_run(f"trainer.profiler={profiler}")
    assert "Profiler Report" in (run.folder / "fit-profile.txt").read_text()
    output, error = capfd.readouterr()
    assert PROFILES[profiler] in output
    assert f"profile  {run.folder}/fit-profile.txt" in output
    assert "USDT" not in error
    if profiler == "advanced":
        # Of the functions of the longest action, not of the first one.
        first = output[output.index("Profile stats") :].splitlines()
        assert float(first[1].split(" in ")[1].split()[0]) > 0.01


def test_a_profiler_by_target_prints_and_leaves_its_file(tiny_run, capsys):
    run = tiny_run("trainer.profiler={_target_: pytorch_lightning.profilers.SimpleProfiler}")
    assert (run.folder / "fit-profile.txt").is_file()
    assert "run_training_batch" in capsys.readouterr().out


def test_barebones_trains_without_metrics(tiny_run, capsys):
    run = tiny_run("trainer.barebones=true", "trainer.max_epochs=2", "logger=tensorboard")
    assert run.record["status"] == "finished"
    assert not (run.folder / "checkpoints").exists()
    assert "barebones: 2 epochs" in capsys.readouterr().out


def test_barebones_excludes_what_needs_metrics(tiny_run, capsys):
    assert tiny_run("trainer.barebones=true", "early_stopping_patience=1").status == 2
    assert "trainer.barebones=true logs none" in capsys.readouterr().err


def test_update_batch_norm_needs_no_batch_norm():
    update_batch_norm(None, nn.Linear(2, 2))
