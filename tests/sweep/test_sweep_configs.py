"""Every file of conf/sweep runs; mistakes are reported in one line before the first trial."""

import shutil
import socket
import time

import pytest
from small_sweeps import FACES, NET, RATES, SMALL

from fer.sweep.report.results import load_sweep
from fer.sweep.storage import CONNECT_SECONDS
from fer.sweep.sweeper import _is_fixed, _without_paths
from fer.training.cli import main
from fer.training.overrides import choices

ONE_EPOCH = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1")
ONE_BATCH = (*ONE_EPOCH, *FACES)
SEARCHES = [choice for choice in choices("sweep") if choice != "grid"]
# Sweeps that need other overrides than NET, because they search its keys.
OVERRIDES = {
    "architecture": ("sweep.space.model=[fast_cnn,baseline_cnn]",),
    "batch_size": (*NET, "datamodule.num_train=520"),
    "custom": (*NET, RATES),
}


@pytest.mark.slow
@pytest.mark.parametrize("choice", SEARCHES)
def test_every_sweep_runs(choice, fer_train, tmp_path):
    overrides = OVERRIDES.get(choice, NET)
    assert fer_train(*ONE_BATCH, f"sweep={choice}", "sweep.n_trials=1", *overrides).status == 0
    folder = tmp_path / "outputs" / "multirun" / choice
    assert {path.name for path in folder.glob("*/run.json")} == {"run.json"}
    assert (folder / "0" / "metrics.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("choice", [choice for choice in SEARCHES if choice != "custom"])
def test_every_space_fits_the_default_config(choice, fer_train, tmp_path, capsys):
    # Opening the storage is the last check, so the space has passed.
    assert fer_train(f"sweep={choice}", "sweep.storage=postgresql://me@127.0.0.1:1/none").status == 2
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sweep.sampler=tp",), "expected one of tpe, gp, random, grid, got 'tp'. Did you mean 'tpe'?"),
        (("sweep.sampler=grid",), "expected values for a grid"),
        (("sweep.pruner=asha",), "Set sweep.pruner.name=…"),
        (("sweep.pruner.name=ahsa",), "asha, hyperband, median, none, got 'ahsa'"),
        (("sweep.pruner.reduction=1",), "sweep.pruner.reduction: expected an integer of at least 2"),
        (("sweep.n_trials=0",), "sweep.n_trials: expected an integer of at least 1"),
        (("sweep.max_failed_share=2",), "expected a number in [0, 1]"),
        (("sweep.name=a/b",), "sweep.name"),
        (("sweep.jobs=2",), "add hydra/launcher=joblib"),
        (("sweep.objective=test/accuracy",), "The test split must not"),
        (("sweep.objective=val/acuracy",), "Did you mean 'val/accuracy'?"),
        (("seed=0,1",), "a sweep takes its values from sweep.space"),
        (("trainer.devices=2",), "a sweep trains each trial on one device"),
        (("trainer.limit_val_batches=0",), "val/accuracy would never be measured"),
        (("trainer.min_epochs=2",), "pruned trials would continue to train"),
        (("resume=outputs/train/some",), "To resume a sweep, set sweep.resume=FOLDER"),
        (("sweep.objective=val/f1/hapy",), "Did you mean 'happy'?"),
        (("sweep.storage=5",), "expected null (a SQLite file)"),
        (("sweep.space={1:[2]}",), "expected keys of the config, got 1"),
        (("sweep.space={model.dropout:{low:0,high:1}}",), "write low: 0.0; for integers add step: 1"),
        (("sweep.storage=mysql://h/d",), "expected null (a SQLite file)"),
        (("hydra/launcher=jobli",), "Did you mean 'joblib'?"),
        (("sweep.space={optimizer.rl:[1]}",), "the config has no optimizer.rl. Did you mean 'optimizer.lr'?"),
        (("sweep.space={optimizer:[adamq]}",), "adam, adamw, muon, sam, sgd, timm, got 'adamq'"),
        (
            ("sweep.space={optimizer:[adamw,sgd],optimizer.momentum:[0.9]}",),
            "with optimizer=adamw. List the choices that have it: optimizer.momentum: {sgd: …}.",
        ),
        (
            ("sweep.space={optimizer:[adamw],optimizer.lr:{adamv:[1]}}",),
            "expected a choice of optimizer, got 'adamv'",
        ),
        (("sweep.space={seed:[0.5,1]}",), "expected an integer in [0, 4294967296), got 0.5"),
        (("sweep.space={trainer.max_epochs:[1,2]}",), "trainer.max_epochs cannot be searched with a pruner"),
        (("sweep.space={output_dir:[a,b]}",), "expected keys that may differ between trials"),
        (("sweep.space={proxy:[epochs,subset]}",), "expected keys that may differ between trials"),
        (("sweep.space={seed:{low:3,high:1}}",), "expected low below high, got 3 and 1"),
        (("sweep.space={optimizer.lr:{low:0,high:1,log:true}}",), "expected low above 0 with log, got 0"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_in_one_line(overrides, message, fer_train, capsys, tmp_path):
    space = () if any(item.startswith("sweep.space") for item in overrides) else (RATES,)
    assert fer_train(*SMALL, "sweep=custom", *space, *overrides).status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("outputs/multirun/*"))


def test_unreadable_data_is_reported_before_the_sweep_is_created(fer_train, capsys, tmp_path):
    overrides = ("datamodule=fer2013", "datamodule.path=/no/such.csv", "sweep=optimizers")
    assert fer_train(*NET, *overrides).status == 2
    assert "/no/such.csv" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/multirun/*"))


def test_data_paths_are_not_part_of_the_search():
    both = [{"name": "fer2013", "path": "/a"}, {"name": "synthetic", "path": "/b"}]
    values = {"datamodule.sources": both, "datamodule.batch_size": 8}
    assert _without_paths(values)["datamodule.sources"] == [{"name": "fer2013"}, {"name": "synthetic"}]
    fixed = ["datamodule.sources", "datamodule.batch_size", "optimizer"]
    keys = [*fixed, "datamodule", "datamodule.path", "logger.wandb"]
    assert [key for key in keys if _is_fixed(key)] == fixed


@pytest.mark.slow
def test_sweep_is_resumed_after_its_data_was_moved(fer_train, fer2013_csv, tmp_path):
    moved = shutil.copy(fer2013_csv, tmp_path / "moved.csv")
    overrides = (*ONE_EPOCH, *NET, "datamodule=fer2013", "datamodule.batch_size=16", "sweep=custom", RATES)
    assert fer_train(*overrides, "sweep.n_trials=1", f"datamodule.path={fer2013_csv}").status == 0
    more = ("sweep.n_trials=2", "sweep.resume=true")
    assert fer_train(*overrides, *more, "datamodule.path=/no/such.csv").status == 2
    assert fer_train(*overrides, *more, f"datamodule.path={moved}").status == 0
    assert (tmp_path / "outputs/multirun/custom/1/metrics.csv").is_file()


def test_experiments_of_different_lengths_are_not_pruned_against_each_other(fer_train, capsys):
    overrides = ("sweep=custom", "sweep.space={experiment:[fer2013_quick,fer2013_long]}")
    assert fer_train("datamodule=fer2013", "datamodule.path=x.csv", *overrides).status == 2
    error = capsys.readouterr().err
    assert "experiment=fer2013_quick sets trainer.max_epochs to 12, others to 15" in error


@pytest.mark.slow
def test_unreachable_server_is_reported_soon_and_without_its_password(fer_train, capsys, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, but does not answer
        server = f"127.0.0.1:{silent.getsockname()[1]}/db"
        start = time.monotonic()
        assert fer_train(*SMALL, "sweep=smoke", f"sweep.storage=postgresql://me:s3cret@{server}").status == 2
        assert CONNECT_SECONDS - 0.1 < time.monotonic() - start < 10
    error = capsys.readouterr().err
    assert f"postgresql://me@{server} cannot be opened" in error
    assert "s3cret" not in error


SPACES = {
    "sweep.space={optimizer.lr: [1e-3]}": "sweep.space",  # a list instead of ranges by choice
    "sweep.space={optimizer: {low: 1, high: 2}}": "sweep.space",
    "+sweep.space={optimizer: {low: 1, high: 2}}": "sweep.space",
    "sweep.space={seed: [1, 2]}": "sweep.space.seed",
    "sweep.space.optimizer.lr=[1e-3]": "sweep.space.optimizer.lr",  # Hydra takes it for a key in a list
}


@pytest.mark.parametrize("override", SPACES)
def test_entry_of_another_type_is_explained(override, fer_train, capsys):
    assert fer_train("sweep=optimizers", override).status == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {SPACES[override]}: the chosen sweep's space has no such entry, or")
    assert "'~sweep.space' '+sweep.space={…}'" in error
    assert "Did you mean" not in error


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("sweep=optimizers", "~sweep.space", "+sweep.space={optimizer.lr: [1e-3]}"),
        ("sweep=batch_size", "+sweep.space={seed: [1, 2]}"),
        ("sweep=custom", "sweep.space={optimizer.lr: [1e-3]}"),
    ],
    ids=["replaced", "added", "custom"],
)
def test_space_can_be_replaced_and_is_not_in_the_command(overrides, fer_train, tmp_path):
    net = (*NET, "datamodule.num_train=520") if "sweep=batch_size" in overrides else NET
    assert fer_train(*ONE_BATCH, *net, *overrides, "sweep.name=some", "sweep.n_trials=1").status == 0
    sweep = load_sweep(tmp_path / "outputs" / "multirun" / "some", None, None)
    names = set(sweep.study.user_attrs["search"]["space"])
    added = {"datamodule.batch_size", "optimizer.lr", "seed"}
    assert names == (added if "sweep=batch_size" in overrides else {"optimizer.lr"})
    command = sweep.study.user_attrs["command"]
    assert not [item for item in command if "sweep" in item.partition("=")[0]]
    assert {*NET} <= {*command}


def test_sweep_options_need_a_sweep(fer_train, capsys):
    for override in ("sweep.n_trials=3", "sweep.space={seed: [1, 2]}"):
        assert fer_train(override).status == 2
        assert "choose a sweep as well: sweep=architecture" in capsys.readouterr().err


def test_output_dir_that_cannot_be_written_is_reported_in_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["fer-train", *SMALL, "sweep=smoke", f"output_dir={tmp_path}/file"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "choose another folder for the run with output_dir=…" in error
    assert error.count("\n") == 1
