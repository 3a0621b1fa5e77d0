"""Plugins in fer-train: files that need only the keys that differ, monitors, wrong parts, and resuming."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import ForkedTrain
from hydra import compose, initialize_config_dir
from own_parts import forget_plugins as forget_plugins
from tiny import TINY_FACES

import fer
from fer.core import plugins
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.core.paths import CONFIG_DIR
from fer.core.plugins import import_plugins
from fer.core.registry import METRICS, REGISTRIES
from fer.training.config import RunConfig
from fer.training.loss_factory import build_loss
from fer.training.metrics import build_metrics, monitor_mode, scalar_metrics
from fer.training.optim import build_optimizer
from fer.training.plugin_sources import plugin_sources
from fer.training.schedules import build_scheduler

pytestmark = pytest.mark.usefixtures("forget_plugins")
PARTS = (
    Path(__file__).resolve().parents[1] / "plugin_package" / "fer_plugin_example" / "parts.py"
).read_text()
SHORT = ("trainer.max_epochs=1", "datamodule.batch_size=16")


@pytest.fixture
def parts():
    """Write the module ``my_project.parts``, with a part of each kind, into the current folder."""
    Path("my_project").mkdir()
    Path("my_project/parts.py").write_text(PARTS)
    return "plugins=[my_project.parts]"


def test_a_plugin_that_is_loaded_before_the_config_is_composed_has_its_choices(parts, monkeypatch):
    """As in a resumed sweep, whose objective is a metric of a plugin."""
    monkeypatch.setenv("FER_PLUGINS", "my_project.parts")
    assert METRICS.find("top2") is not None
    with plugin_sources(), initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        assert compose("train", ["callbacks=say", "loss=poly"]).loss.epsilon == 1.0


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def test_a_file_needs_only_the_keys_that_differ(fer_train, parts):
    write("conf/model/mine.yaml", "name: fast_cnn\nkwargs: {widths: [8, 16], depths: [0, 0]}\n")
    write("conf/datamodule/few.yaml", "name: synthetic\nnum_train: 64\nnum_val: 32\nnum_test: 8\n")
    overrides = ("datamodule=few", "model=mine", "model.dropout=0.5", "datamodule.difficulty=0", *SHORT)
    run = fer_train(*overrides, "--config-dir", "conf")
    assert run.status == 0
    config = fer.Run.load(run.folder).config
    assert (config.model.dropout, config.model.image_size, config.datamodule.difficulty) == (0.5, 48, 0)


def test_an_experiment_of_ones_own_may_name_plugins(fer_train, parts, capsys):
    lines = ["# @package _global_", "defaults: [override /model: tiny_net]", "plugins: [my_project.parts]"]
    write("conf/experiment/mine.yaml", "\n".join(lines))
    flags = ("--config-dir", "conf")
    assert fer_train("experiment=mine", "model.kwargs.width=9", "--cfg", "job", *flags).status == 0
    assert "width: 9" in capsys.readouterr().out
    assert fer_train("experiment=mine", "model.kwargs.widht=9", *flags).status == 2
    assert "Did you mean 'model.kwargs.width'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=tiny_net"],
            "model: expected one of .*, got 'tiny_net'.* One of your own needs plugins=.MODULE.",
        ),
        (
            ["plugins=[my_project.part]"],
            "got 'my_project.part': there is no my_project.part. It is looked for",
        ),
        (["plugins=[my_project.parts]", "loss=poli"], "loss: expected one of .* Did you mean 'poly'"),
        (
            ["plugins=[my_project.parts]", "loss=poly", "loss.epsilon=x"],
            "loss.epsilon: expected a number, got 'x'",
        ),
        (
            ["plugins=[my_project.parts]", "monitor=val/top3"],
            "monitor: expected one of .* Did you mean 'val/top2'",
        ),
        (["monitor=val/top2"], "If it is logged, .* add monitor_mode=max or min"),
        (["monitor=train/los"], "monitor: expected one of val/accuracy"),
        (["monitor=test/top2", "monitor_mode=max"], "The test split must not select"),
    ],
)
def test_a_mistake_is_one_line(overrides, message, fer_train, parts, capsys):
    assert fer_train(*overrides).status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_the_mode_of_a_monitor():
    @fer.register_metric("far", mode="min")
    def far(num_classes: int, emotions: tuple[str, ...]):
        from torchmetrics.classification import MulticlassAccuracy

        assert emotions == ("a", "b", "c")
        return MulticlassAccuracy(num_classes, average="none")

    assert (monitor_mode("val/far"), monitor_mode("val/loss"), monitor_mode("val/uar")) == (
        "min",
        "min",
        "max",
    )
    config = RunConfig.from_dict({"model": {"name": "fast_cnn"}, "monitor": "val/own", "monitor_mode": "min"})
    assert config.mode == "min"
    metrics = build_metrics(3, ("a", "b", "c"))
    metrics.update(torch.eye(3), torch.arange(3))
    with pytest.raises(FerError, match=r"metric far: expected a scalar, got the shape \(3,\)"):
        scalar_metrics(metrics.compute(), ("a", "b", "c"), "val")


def test_wrong_parts_of_the_training_are_one_line():
    fer.register_loss("number")(lambda: 3)
    fer.register_loss("learned")(lambda: torch.nn.Linear(2, 2))
    fer.register_loss("plain")(lambda: torch.nn.functional.cross_entropy)
    fer.register_optimizer("no_optimizer")(lambda params: params)
    fer.register_scheduler("no_schedule")(lambda optimizer: optimizer)
    fer.register_metric("no_metric", mode="max")(lambda: 3)
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for build, message in (
        (
            lambda: build_loss("number", "none", [1, 1]),
            "expected .* a function or module of logits .*, got a int",
        ),
        (lambda: build_loss("learned", "none", [1, 1]), "expected a loss without weights of its own"),
        (lambda: build_loss("plain", "class_weights", [1, 1]), "expected none or oversample with loss=plain"),
        (
            lambda: build_loss({"name": "plain", "label_smoothing": 0.1}, "none", [1, 1]),
            "label_smoothing: expected 0",
        ),
        (lambda: build_optimizer(network, "no_optimizer"), r"return a torch\.optim\.Optimizer, got a list"),
        (
            lambda: build_scheduler(optimizer, "no_schedule", 9, 3, "val/loss"),
            "an LRScheduler of torch, got a SGD",
        ),
        (lambda: build_metrics(2), r"return a torchmetrics\.Metric, got a int"),
    ):
        with pytest.raises(FerError, match=message):
            build()
    assert build_loss("plain", "oversample", [1, 1])(torch.zeros(1, 2), torch.tensor([1])) > 0.69


def test_a_registered_optimizer_gets_groups_or_the_model():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    @fer.register_optimizer("grouped")
    def grouped(params, lr: float = 0.5, momentum: float = 0.9):
        return torch.optim.SGD(params, lr, momentum)

    fer.register_optimizer("of_model")(lambda model, **options: torch.optim.SGD(model.parameters(), 0.1))
    built = build_optimizer(network, {"name": "grouped", "weight_decay": 0.1})
    assert sorted(group["weight_decay"] for group in built.param_groups) == [0.0, 0.1]
    assert {group["lr"] for group in built.param_groups} == {0.5}
    assert len(build_optimizer(network, "of_model").param_groups) == 1
    sam = build_optimizer(network, {"name": "sam", "base": "grouped", "lr": 0.1})
    assert sam.base.defaults["momentum"] == 0.9


def test_a_script_registers_and_its_checkpoint_says_so(tmp_path):
    namespace = {"__name__": "__main__"}
    exec(compile(PARTS, "script.py", "exec"), namespace)
    config = RunConfig.from_dict({"model": {"name": "tiny_net"}, "loss": {"name": "poly"}})
    assert config.to_dict()["plugins"] == ["__main__"]


def test_a_checkpoint_never_imports_what_it_names(parts, tmp_path):
    module = "my_project.parts"
    import_plugins(module)
    network = fer.EmotionModule("tiny_net", "gate", labels=FER7, loss="poly")
    hparams = dict(network.hparams)
    assert hparams["config"]["plugins"] == [module]
    torch.save(
        {"hyper_parameters": hparams, "state_dict": network.state_dict(), "epoch": 0}, tmp_path / "net.ckpt"
    )
    # As in another process.
    for registry in REGISTRIES:
        for entry in registry.plugins():
            del registry._entries[entry.name]
    plugins._named.clear()
    del sys.modules[module], sys.modules["my_project"]
    with pytest.raises(FerError, match=rf"net\.ckpt: model=tiny_net needs a plugin .*: {module}\."):
        fer.load_checkpoint(tmp_path / "net.ckpt")
    assert module not in sys.modules
    model, labels = fer.load_checkpoint(tmp_path / "net.ckpt", plugins=[module])
    assert model(torch.rand(1, 1, 48, 48)).shape == (1, len(labels))


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_its_plugins(parts, tmp_path):
    own = (
        parts,
        "model=tiny_net",
        "loss=poly",
        "optimizer=heavy_sgd",
        "scheduler=poly_decay",
        "monitor=val/top2",
    )
    run = tmp_path / "run"
    process = ForkedTrain(
        *own, *TINY_FACES, "datamodule.batch_size=16", "trainer.max_epochs=60", "hydra.run.dir=run"
    )
    while not (run / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    refused = ForkedTrain("resume=run")
    assert "loss=poly needs a plugin that is not loaded: my_project.parts" in refused.communicate()[1]
    assert refused.returncode == 2
    resumed = ForkedTrain("resume=run", parts)
    output = "".join(resumed.communicate(timeout=200))
    assert resumed.returncode == 0, output
    assert fer.Run.load(run).record.resumes == 1
