import csv
import math

import pytest

from fer.core.errors import FerError
from fer.evaluation.sections import training
from fer.evaluation.sections.training import best_epoch, diagnose
from fer.training.run_folder import read_metrics


def run(train, val, train_loss=None, val_loss=None):
    """Return rows of epochs; by default, each loss is 1 - accuracy."""
    train_loss = train_loss or [1 - accuracy for accuracy in train]
    val_loss = val_loss or [1 - accuracy for accuracy in val]
    names = ("train/accuracy", "val/accuracy", "train/loss", "val/loss")
    table = zip(train, val, train_loss, val_loss, strict=True)
    return [{"epoch": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(table, 1)]


RISE = [0.3, 0.4, 0.5, 0.55, 0.58, 0.6]
ROUGH = [0.3, 0.4, 0.52, 0.40, 0.55, 0.45]


@pytest.mark.parametrize(
    ("label", "rows"),
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
def test_each_rule_gives_its_label(label, rows):
    assert diagnose(rows).label == label


@pytest.mark.parametrize(
    ("threshold", "gap", "below", "above"),
    [("WIDE_GAP", 0.10, "fine", "overfitting"), ("NARROW_GAP", 0.05, "underfitting", "fine")],
)
def test_gaps_are_compared_with_their_threshold(threshold, gap, below, above):
    assert getattr(training, threshold) == gap
    near = [run([x + gap + offset for x in RISE], RISE) for offset in (-1e-6, 1e-6)]
    assert [diagnose(rows).label for rows in near] == [below, above]


def test_rise_of_the_loss_counts_only_while_training_loss_falls():
    val_loss = [1.5, 1.2, 1.0, 1.1, 1.2, 1.3]
    rows = run([x + 0.08 for x in RISE], RISE, [1.0] * 6, val_loss)
    assert diagnose(rows).label == "fine"
    diagnosis = diagnose(run([x + 0.08 for x in RISE], RISE, val_loss=val_loss))
    assert diagnosis.numbers["loss_rise"] == pytest.approx(0.3)


def test_drops_during_warmup_do_not_count():
    assert diagnose(run([x + 0.08 for x in RISE], [0.5, 0.3, *RISE[2:]])).numbers["falls"] == 0


def test_a_single_drop_is_not_unstable():
    val = [0.3 + 0.01 * i for i in range(30)]
    val[20] -= 0.1
    diagnosis = diagnose(run([x + 0.08 for x in val], val))
    assert (diagnosis.label, diagnosis.numbers["falls"]) == ("fine", pytest.approx(1 / 19))


def test_slope_is_of_the_last_third():
    flat = run([0.6] * 6, [0.3, 0.4, 0.5, 0.55, 0.55, 0.55])
    assert diagnose(flat).numbers["slope"] == pytest.approx(0)
    rising = diagnose(run(RISE, RISE))
    assert rising.numbers["slope"] == pytest.approx(0.02)
    assert "still rose by 2.0 points" in rising.paragraphs[-1]
    assert not any("still rose" in text for text in diagnose(flat).paragraphs)


def test_best_epoch_is_the_first_of_equals_and_the_lowest_loss():
    rows = run([0.5] * 4, [0.3, 0.6, 0.6, 0.5], val_loss=[1.0, 0.9, 0.7, 0.8])
    assert best_epoch(rows) == 2
    assert best_epoch(rows, "val/loss") == 3
    assert best_epoch([{"epoch": 1, "train/loss": 1.0}]) is None


def test_gap_is_measured_at_the_best_epoch():
    rows = run([0.5, 0.6, 0.7, 0.9], [0.45, 0.55, 0.5, 0.5])
    assert diagnose(rows).numbers["gap"] == pytest.approx(0.05)


def test_epochs_without_validation_are_ignored():
    rows = [dict(row) for row in run([x + 0.02 for x in RISE], RISE)]
    between = [{"epoch": row["epoch"] - 0.5, "train/loss": 1.0, "train/accuracy": 0.5} for row in rows]
    mixed = sorted(rows + between, key=lambda row: row["epoch"])
    assert diagnose(mixed).label == "underfitting"


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


def test_section_has_diagnosis_table_and_plot():
    section = training.training_section(run([x + 0.02 for x in RISE], RISE))
    assert section.paragraphs[0] == "Diagnosis: underfitting."
    assert section.plots[0].png.startswith(b"\x89PNG")
    assert [row[:2] for row in section.tables[0].rows] == [("best", 6), ("last", 6)]
    assert section.numbers["best_epoch"] == 6
    assert training.training_section([]).numbers["verdict"] == "too short"
