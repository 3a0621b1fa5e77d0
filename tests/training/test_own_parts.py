"""Callbacks, loggers and profilers by _target_: built from the command line, never from a checkpoint."""

import csv

import pytest
import torch

from fer.core.errors import FerError
from fer.training.callback_config import CallbacksConfig, format_node
from fer.training.config import RunConfig


def test_a_logger_and_a_profiler_of_ones_own(tiny_run, tmp_path):
    run = tiny_run(
        f"+logger.mine={{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: {tmp_path}/csv}}",
        f"trainer.profiler={{_target_: pytorch_lightning.profilers.SimpleProfiler, dirpath: {tmp_path}, "
        "filename: times}",
    )
    assert run.status == 0
    rows = list(csv.DictReader(next(tmp_path.glob("csv/*/*/metrics.csv")).open()))
    assert any(row.get("val/accuracy") for row in rows)
    assert (tmp_path / "fit-times.txt").is_file()


def test_a_checkpoint_contains_no_target(tiny_run):
    run = tiny_run("+callbacks.mine._target_=pytorch_lightning.callbacks.Timer")
    content = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert "_target_" not in str(content["hyper_parameters"])


BAD = {
    "+callbacks.x={_target_: lightning.pytorch.callbacks.Timer}": "=pytorch_lightning.callbacks.Timer.",
    "+callbacks.x={_target_: pytorch_lightning.callbacks.Timr}": "callbacks.x: expected to build",
    "+callbacks.x={_target_: pytorch_lightning.callbacks.Timer, durtion: 3}": "callbacks.x: expected to",
    "+callbacks.x={_target_: torch.nn.ReLU}": "callbacks.x: expected a Callback, got ReLU",
    "+callbacks.x={_target_: os.system, command: ls}": "behavior or belongs to an execution-capable",
    "+callbacks.x={name: unheard_of}": "unheard_of",
    "+callbacks.x=3": "callbacks.x: expected {name: a registered callback",
    "loss={_target_: torch.nn.MSELoss}": "loss: expected options, got _target_=",
    "callbacks.x={_target_: pytorch_lightning.callbacks.Timer}": "write +callbacks.x=",
}


@pytest.mark.parametrize("override", BAD)
def test_mistakes_are_one_line(override, tiny_run, capsys):
    assert tiny_run(override).status == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert BAD[override] in error


def test_a_stored_config_with_a_target_is_refused():
    with pytest.raises(FerError, match=r"callbacks\.x: expected options, got _target_=os\.system"):
        CallbacksConfig.from_dict({"x": {"name": "a", "_target_": "os.system"}})
    with pytest.raises(FerError):
        RunConfig.from_dict({"model": {"name": "fast_cnn"}, "own_parts": {"nodes": {"callbacks.x": {}}}})


def test_a_resumed_run_needs_its_callbacks_again(tiny_run, fer_train, capsys):
    stopped = tiny_run(
        "trainer.max_epochs=2", "+callbacks.stop={_target_: own_callbacks.StopAfter, epochs: 1}"
    )
    assert stopped.status == 2
    assert fer_train(f"resume={stopped.folder}").status == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert '+callbacks.stop={_target_: "own_callbacks.StopAfter", epochs: 1}' in error
    again = "+callbacks.stop={_target_: own_callbacks.StopAfter, epochs: 9}"
    assert fer_train(f"resume={stopped.folder}", again).status == 0


def test_nodes_are_written_as_overrides():
    node = {"_target_": "a.B", "text": 'x "y"', "list": [1, None, True]}
    assert format_node(node) == '{_target_: "a.B", text: "x \\"y\\"", list: [1, null, true]}'
