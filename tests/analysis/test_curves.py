import csv
import math

import pytest

from fer.analysis import curves
from fer.analysis.curves import best_epoch, read_curves, read_metrics
from fer.errors import FerError


def run(train, val, train_loss=None, val_loss=None):
    """Return rows of epochs; losses fall with the accuracies unless they are given."""
    train_loss = train_loss or [1 - share for share in train]
    val_loss = val_loss or [1 - share for share in val]
    names = ("train/accuracy", "val/accuracy", "train/loss", "val/loss")
    table = zip(train, val, train_loss, val_loss, strict=True)
    return [{"epoch": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(table, 1)]


RISE = [0.3, 0.4, 0.5, 0.55, 0.58, 0.6]
ROUGH = [0.3, 0.4, 0.52, 0.40, 0.55, 0.45]


@pytest.mark.parametrize(
    ("verdict", "rows"),
    [
        ("too short", run(RISE[:3], RISE[:3])),
        ("underfitting", run([x + 0.02 for x in RISE], RISE)),
        ("fine", run([x + 0.08 for x in RISE], RISE)),
        ("fine", run([0.90, 0.92, 0.94, 0.96], [0.89, 0.91, 0.93, 0.95])),
        ("fine", run([x - 0.2 for x in RISE], RISE)),
        ("overfitting", run([x + 0.11 for x in RISE], RISE)),
        ("overfitting", run([x + 0.08 for x in RISE], RISE, val_loss=[1.5, 1.2, 1.0, 1.0, 1.02, 1.06])),
        ("fine", run([x + 0.08 for x in RISE], RISE, val_loss=[1.5, 1.2, 1.0, 1.0, 1.02, 1.04])),
        ("unstable", run([x + 0.08 for x in RISE], ROUGH)),
        ("unstable", run(RISE, RISE, train_loss=[1.0, 0.9, math.nan, math.nan, 0.8, 0.7])),
    ],
)
def test_each_rule_gives_its_verdict(verdict, rows):
    assert read_curves(rows).verdict == verdict


@pytest.mark.parametrize(
    ("threshold", "gap", "below", "above"),
    [("WIDE_GAP", 0.10, "fine", "overfitting"), ("NARROW_GAP", 0.05, "underfitting", "fine")],
)
def test_gaps_count_at_their_threshold(threshold, gap, below, above):
    assert getattr(curves, threshold) == gap
    near = {side: run([x + gap + side for x in RISE], RISE) for side in (-1e-6, 1e-6)}
    assert [read_curves(rows).verdict for rows in near.values()] == [below, above]


def test_rise_of_the_loss_counts_only_while_training_loss_falls():
    val_loss = [1.5, 1.2, 1.0, 1.1, 1.2, 1.3]
    rows = run([x + 0.08 for x in RISE], RISE, [1.0] * 6, val_loss)
    assert read_curves(rows).verdict == "fine"
    reading = read_curves(run([x + 0.08 for x in RISE], RISE, val_loss=val_loss))
    assert reading.numbers["loss_rise"] == pytest.approx(0.3)


def test_falls_while_rates_warm_up_do_not_count():
    assert read_curves(run([x + 0.08 for x in RISE], [0.5, 0.3, *RISE[2:]])).numbers["falls"] == 0


def test_one_bad_epoch_in_many_is_no_instability():
    val = [0.3 + 0.01 * i for i in range(30)]
    val[20] -= 0.1
    reading = read_curves(run([x + 0.08 for x in val], val))
    assert (reading.verdict, reading.numbers["falls"]) == ("fine", pytest.approx(1 / 19))


def test_slope_is_of_the_last_third():
    flat = run([0.6] * 6, [0.3, 0.4, 0.5, 0.55, 0.55, 0.55])
    assert read_curves(flat).numbers["slope"] == pytest.approx(0)
    rising = read_curves(run(RISE, RISE))
    assert rising.numbers["slope"] == pytest.approx(0.02)
    assert "still rose by 2.0 points" in rising.words[-1]
    assert not any("still rose" in words for words in read_curves(flat).words)


def test_best_epoch_is_the_first_of_equals_and_the_least_loss():
    rows = run([0.5] * 4, [0.3, 0.6, 0.6, 0.5], val_loss=[1.0, 0.9, 0.7, 0.8])
    assert best_epoch(rows) == 2
    assert best_epoch(rows, "val/loss") == 3
    assert best_epoch([{"epoch": 1, "train/loss": 1.0}]) is None


def test_gap_is_that_of_the_best_epoch():
    rows = run([0.5, 0.6, 0.7, 0.9], [0.45, 0.55, 0.5, 0.5])
    assert read_curves(rows).numbers["gap"] == pytest.approx(0.05)


def test_epochs_without_validation_are_passed_over():
    rows = [dict(row) for row in run([x + 0.02 for x in RISE], RISE)]
    between = [{"epoch": row["epoch"] - 0.5, "train/loss": 1.0, "train/accuracy": 0.5} for row in rows]
    mixed = sorted(rows + between, key=lambda row: row["epoch"])
    assert read_curves(mixed).verdict == "underfitting"


def test_metrics_file_is_read_back(tmp_path):
    path = tmp_path / "metrics.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "train/loss", "val/accuracy"])
        writer.writeheader()
        writer.writerows(
            [{"epoch": 1, "train/loss": 0.5}, {"epoch": 2, "train/loss": 0.25, "val/accuracy": 1}]
        )
    assert read_metrics(path) == [
        {"epoch": 1.0, "train/loss": 0.5}, {"epoch": 2.0, "train/loss": 0.25, "val/accuracy": 1.0}
    ]  # fmt: skip


@pytest.mark.parametrize("content", [None, "epoch,val/accuracy\n1,good\n", "epoch\n1,2\n"])
def test_bad_metrics_file_is_explained(content, tmp_path):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FerError, match=r"metrics\.csv"):
        read_metrics(path)


def test_section_holds_words_table_and_picture():
    section = curves.section(run([x + 0.02 for x in RISE], RISE))
    assert section.words[0] == "Reading: underfitting."
    assert section.pictures[0].png.startswith(b"\x89PNG")
    assert [row[:2] for row in section.tables[0].rows] == [("best", 6), ("last", 6)]
    assert section.numbers["best_epoch"] == 6
    assert curves.section([]).numbers["verdict"] == "too short"
