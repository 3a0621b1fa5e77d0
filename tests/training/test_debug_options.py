"""Choices of debug= and trainer=, tags, the score on the test split, and the compiler."""

import json
import os

import pytest
import torch

from fer.core.errors import FerError
from fer.training.config import TrainerConfig
from fer.training.trainer import check_cluster


@pytest.mark.parametrize("name", ["default", "fast", "limit", "overfit", "profile", "anomaly"])
def test_debug_runs(name, tiny_run):
    run = tiny_run(f"debug={name}", "trainer.max_epochs=1", "model=fast_cnn_inner")
    assert run.record["status"] == "finished"
    assert run.record["tags"] == ["debug"]
    assert (run.folder / "checkpoints").exists() == (name != "fast")


def test_trainer_cpu_runs_on_the_cpu(tiny_run):
    assert tiny_run("trainer=cpu", "trainer.max_epochs=1").record["device"] == "cpu"


def test_a_missing_gpu_is_one_line(tiny_run, capsys):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    assert tiny_run("trainer=gpu").status == 2
    assert "gpu" in capsys.readouterr().err


def test_several_nodes_need_a_cluster(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM", "TORCHELASTIC", "LSB_"))]:
        monkeypatch.delenv(name)
    config = TrainerConfig(num_nodes=2)
    with pytest.raises(FerError, match=r"trainer.num_nodes: expected a cluster .*torchrun"):
        check_cluster(config)
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("NODE_RANK", "0")
    check_cluster(config)


def test_tags_are_in_the_record(tiny_run):
    assert tiny_run("tags=[baseline,paper]").record["tags"] == ["baseline", "paper"]


def test_the_test_split_is_scored_and_entered_in_the_ledger(tiny_run, capsys):
    run = tiny_run("test=true", "model=fast_cnn_inner")
    assert (run.folder / "report" / "test" / "metrics.json").is_file()
    (entry,) = (run.folder.parents[2] / "test_ledger.jsonl").read_text().splitlines()
    assert json.loads(entry)["split"] == "test"
    assert "entered in the test ledger" in capsys.readouterr().out


def test_a_search_does_not_score_the_test_split(tiny_run, capsys):
    assert tiny_run("sweep=optimizers", "sweep.n_trials=1", "test=true").status == 2
    assert "test: expected false in a search" in capsys.readouterr().err


def test_a_test_needs_a_checkpoint(tiny_run, capsys):
    assert tiny_run("test=true", "trainer.enable_checkpointing=false").status == 2
    assert "test: expected a checkpoint to score" in capsys.readouterr().err


def test_a_test_without_a_test_split_is_refused_before_training(tiny_run, capsys):
    run = tiny_run("test=true", "datamodule.num_test=0")
    assert run.status == 2
    assert "test: expected data with a test split, got train, val of synthetic" in capsys.readouterr().err
    assert run.folder is None


def test_a_missing_compiler_is_one_line(tiny_run, monkeypatch, capsys):
    def fail():
        raise RuntimeError

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", fail)
    assert tiny_run("compile=true").status == 2
    assert "compile: expected a C++ compiler, got none." in capsys.readouterr().err
