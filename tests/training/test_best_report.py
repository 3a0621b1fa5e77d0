"""What is logged of the best epoch, and on which axis, without a W&B process."""

from types import SimpleNamespace

import numpy as np
import pytest

from fer.training.best_report import BestReport
from fer.training.lightning_loggers import RunWandbLogger, prepare_loggers
from fer.training.recorder import RunRecorder
from fer.training.wandb_config import WandbConfig

BEST = {"epoch": 3, "val/accuracy": 0.5, "val_emotion/f1/sad": 0.25}


class Wandb(RunWandbLogger):
    """A logger that keeps what would be sent to W&B."""

    def __init__(self):
        self.rows, self.defined = [], {}
        self.run = SimpleNamespace(
            summary={},
            sweep_id=None,
            log=self.rows.append,
            define_metric=lambda name, **options: self.define(name, options),
        )

    def define(self, name, options):
        self.defined[name] = options

    @property
    def experiment(self):
        return self.run


def validate(report, epoch):
    trainer = SimpleNamespace(
        is_global_zero=True, sanity_checking=False, global_step=20 * epoch, current_epoch=epoch - 1
    )
    report.on_validation_end(trainer, SimpleNamespace(labels=SimpleNamespace(names=("happy", "sad"))))


@pytest.fixture
def wandb_logger():
    return Wandb()


@pytest.fixture
def report(wandb_logger, tmp_path):
    recorder = RunRecorder(tmp_path / "metrics.csv", "val/accuracy")
    recorder.best, recorder.best_confusion = BEST, np.array([[3, 1], [2, 2]])
    report = BestReport([wandb_logger], recorder, WandbConfig(samples=False))
    yield report
    report._executor.shutdown()


def test_the_best_epoch_is_logged_once_and_at_its_step(report, wandb_logger):
    validate(report, 3)
    validate(report, 4)
    report._log_remaining()
    assert wandb_logger.run.summary == {"best/epoch": 3, "best/accuracy": 0.5, "best/f1/sad": 0.25}
    names = [{*row} - {"epoch", "trainer/global_step"} for row in wandb_logger.rows]
    assert names == [
        {"plots/confusion_chart", "plots/scores"}, {"plots/confusion_matrix"}, {"plots/per_emotion"}
    ]  # fmt: skip
    assert {(row["epoch"], row["trainer/global_step"]) for row in wandb_logger.rows} == {(3, 60)}


def test_a_resumed_run_does_not_log_an_earlier_epoch_again(report, wandb_logger):
    validate(report, 4)
    assert wandb_logger.rows == []
    assert wandb_logger.run.summary["best/accuracy"] == 0.5


@pytest.mark.parametrize(
    ("interval", "axis"), [(1.0, "epoch"), (None, "epoch"), (0.5, "trainer/global_step")]
)
def test_axes_and_summary(wandb_logger, interval, axis):
    trainer = SimpleNamespace(loggers=[wandb_logger], is_global_zero=True, val_check_interval=interval)
    prepare_loggers(trainer, ("happy", "sad"))
    assert wandb_logger.trainer is trainer
    defined = wandb_logger.defined
    assert defined["*"] == {"step_metric": "trainer/global_step"}
    assert defined["epoch"] == defined["trainer/global_step"] == {"hidden": True}
    for name, mode in {"val/accuracy": "max", "val/ece": "min", "val/loss": "min", "train/loss": "min",
                       "val_emotion/recall/sad": "max"}.items():  # fmt: skip
        assert defined[name] == {"step_metric": axis, "summary": mode}
