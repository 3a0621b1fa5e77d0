"""lr_find=true and batch_size_find=true: measured, reported with the next command, and nothing is trained."""

import csv

import pytest

import fer
from fer.core.errors import FerError
from fer.training.batch_size_find import BatchSizeTest, suggest
from fer.training.lr_find import STEPS, rising_rate, smoothed

RATES = [10 ** (-6 + 6 * step / (STEPS - 1)) for step in range(STEPS)]


def test_lr_find_writes_the_curve_and_the_next_command(tiny_run, capsys):
    run = tiny_run("lr_find=true", "model=fast_cnn_inner", "optimizer.lr=0.003")
    assert run.status == 0
    assert sorted(path.name for path in run.folder.iterdir()) == ["lr_find.csv", "lr_find.png"]
    rows = list(csv.DictReader((run.folder / "lr_find.csv").open()))
    assert float(rows[0]["lr"]) == pytest.approx(3e-6)
    *_, last = capsys.readouterr().out.splitlines()
    assert "lr_find" in last or last.startswith("train    fer-train")
    assert "lr_find=true" not in last


def test_batch_size_find_measures_until_the_data_are_too_few(tiny_run, capsys):
    run = tiny_run("batch_size_find=true", "model=fast_cnn_inner")
    assert run.status == 0
    assert [path.name for path in run.folder.iterdir()] == ["batch_size_find.png"]
    output = capsys.readouterr().out
    # 64 images
    assert all(f"{size}  " in output for size in (16, 32, 64))
    assert "128" not in output.split("images/s")[1].split("plot")[0]
    assert "train    fer-train" in output


@pytest.mark.parametrize("action", ["lr_find", "batch_size_find"])
def test_a_multirun_is_refused(action, tiny_run, capsys):
    assert tiny_run("-m", f"{action}=true", "seed=0,1").status == 2
    assert f"{action}: expected a single run, got a multirun." in capsys.readouterr().err


def test_python_trains_only():
    with pytest.raises(FerError, match=r"lr_find: expected false in fer\.train"):
        fer.train("lr_find=true")


def test_only_one_search(tiny_run, capsys):
    assert tiny_run("lr_find=true", "batch_size_find=true").status == 2
    assert "lr_find: expected one search" in capsys.readouterr().err


def test_the_loss_rises_where_it_leaves_its_lowest_value():
    losses = [2.0 if rate < 1e-4 else 1.5 if rate < 1e-2 else 3.0 for rate in RATES]
    assert rising_rate(RATES, losses) == pytest.approx(1e-2, rel=0.15)


def test_a_rising_loss_gives_no_suggestion():
    assert rising_rate(RATES, [2.0 + rate for rate in RATES]) is None


def test_smoothing_has_no_bias():
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])


def test_the_smallest_size_with_nearly_the_highest_speed():
    speeds = {16: 100, 32: 300, 64: 390, 128: 400}
    assert suggest([BatchSizeTest(size, speed, 1.0) for size, speed in speeds.items()]) == 64


def test_the_config_is_printed_as_a_tree(tiny_run, capsys):
    assert tiny_run("print_config=true", "trainer.fast_dev_run=true").status == 0
    output = capsys.readouterr().out
    assert "├── optimizer" in output
    assert "lr: 0.001" in output
