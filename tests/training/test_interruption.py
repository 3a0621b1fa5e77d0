"""Runs that are interrupted: Ctrl-C, and a full disk."""

import json
import resource
import signal
import time

import pytest
from forked import ForkedTrain

from fer.models.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

DATA = ("datamodule.num_train=128", "datamodule.num_val=64", "datamodule.num_test=8")
OPTIONS = (
    *DATA, "model=fast_cnn", "datamodule.batch_size=16", "trainer.max_epochs=500", "augmentation=none",
)  # fmt: skip


@pytest.fixture
def started(tmp_path):
    """Process and folder of a long run after its third epoch."""
    process = ForkedTrain(f"output_dir={tmp_path}", *OPTIONS)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        files = list(tmp_path.glob("train/*/*/metrics.csv"))
        if files and len(files[0].read_text().splitlines()) > 3:
            yield process, files[0].parent
            break
        time.sleep(0.02)
    process.kill()
    process.wait()


def check_run_folder(folder, status):
    record = json.loads((folder / "run.json").read_text())
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert record["status"] == status
    assert len({row.count(",") for row in rows}) == 1
    assert load_checkpoint(folder / "checkpoints" / "last.ckpt").epoch >= len(rows) - 1
    assert load_checkpoint(folder / "checkpoints" / "best.ckpt").epoch <= record["best"]["epoch"]


def test_ctrl_c(started):
    process, folder = started
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == f"interrupted. Resume with: fer-train resume={folder}"
    check_run_folder(folder, "interrupted")
    assert (folder / "plots" / "learning_curves.png").exists()


def test_full_disk(started):
    """Files are limited to 40,000 bytes: less than a checkpoint, more than the record."""
    process, folder = started
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    *warnings, error = errors.splitlines()
    assert error.startswith("error: ")
    assert all(line.startswith("WARNING: the plot") for line in warnings), errors
    assert "Traceback" not in errors
    assert "File too large" in errors
    check_run_folder(folder, "failed")
