"""A logger, plot or upload that fails at the end of a fit is a warning: the run has finished."""

import pytest
from tiny import TINY, TINY_FACES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "broken",
    [
        "pytorch_lightning.loggers.WandbLogger.log_metrics",
        "pytorch_lightning.loggers.WandbLogger.finalize",
        "pytorch_lightning.loggers.TensorBoardLogger.finalize",
        "wandb.sdk.wandb_run.Run.log_artifact",
        "wandb.sdk.wandb_run.Run.log",
        "wandb.sdk.wandb_run.Run.finish",
        "fer.training.best_report.plot_confusion_matrix",
        "fer.training.progress.plot_learning_curves",
        "fer.training.progress.save_figure",
    ],
)
def test_a_failure_at_the_end_is_a_warning(fer_train, monkeypatch, capfd, broken):
    def fail(*_, **__):
        raise RuntimeError("broken\nsecond line")

    monkeypatch.setattr(broken, fail)
    run = fer_train(*TINY, *TINY_FACES, "model=fast_cnn_inner", "logger=all")
    assert run.status == 0
    assert run.record["status"] == "finished"
    assert (run.folder / "checkpoints" / "best.ckpt").exists()
    errors = capfd.readouterr().err.splitlines()
    assert errors
    assert all(line.startswith("WARNING: ") and "broken" in line for line in errors), errors
