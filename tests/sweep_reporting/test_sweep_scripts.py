"""The scripts on sweeps: ASHA replayed, rank correlation, the W&B dashboard as it would be sent."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from scipy import stats
from told_sweeps import EPOCHS, SOME, rising, tell

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_replayed_asha_stops_what_is_worse_from_its_first_look(tmp_path, capsys):
    """Curves of falling quality: the first is trained to its end, each later one for an epoch."""
    trials = [("finished", rising(0.6 - 0.05 * number)) for number in range(8)]
    tell(tmp_path / "multirun" / "unpruned", trials)
    options = Namespace(output=tmp_path, epochs=EPOCHS)
    load("benchmark_sweep").replay(options)
    out = capsys.readouterr().out
    assert f"{(9 + 7) / (8 * 9):.1%} of the image passes" in out
    assert "7 of 8 pruned; best 60.00%, unpruned 60.00%: +0.00 points" in out


def test_a_late_bloomer_is_lost_in_the_replay(tmp_path, capsys):
    late = [0.01] * 8 + [0.9]
    tell(tmp_path / "multirun" / "unpruned", [("finished", rising(0.6)), ("finished", late)])
    load("benchmark_sweep").replay(Namespace(output=tmp_path, epochs=EPOCHS))
    assert "best 60.00%, unpruned 90.00%: -30.00 points" in capsys.readouterr().out


def test_the_table_of_proxies(capsys):
    script = load("measure_proxies")
    whole, cheap = [0.5, 0.6, 0.4, 0.55, 0.3], [0.2, 0.4, 0.3, 0.35, 0.1]
    entries = {}
    for number in range(5):
        entries[number, "whole"] = {"value": whole[number], "seconds": 10.0}
        entries[number, "small"] = {"value": cheap[number], "seconds": 2.0}
    entries[5, "whole"] = {"value": None}  # failed
    entries[5, "small"] = {"value": 0.9, "seconds": 2.0}
    line = script.table(entries, ["small"], "val/accuracy").splitlines()[2]
    assert f"| small | 5 | {stats.spearmanr(whole, cheap).statistic:.2f} [" in line
    assert line.endswith("| 0.20 | 0.0 |")


def test_recipes_are_drawn_the_same_each_time():
    script = load("measure_proxies")
    first = script.draw_recipes("optimizers", 3)
    assert first == script.draw_recipes("optimizers", 3)
    assert all(words[0].startswith("optimizer=") for words in first)


def test_the_dashboard_without_an_account(tmp_path, monkeypatch, capsys):
    folder = tell(tmp_path / "some", SOME)
    words = [str(folder), "--entity", "me", "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["wandb_workspace.py", *words])
    with pytest.raises(SystemExit) as exit_:
        load("wandb_workspace").main()
    assert exit_.value.code == 0
    every, best = json.loads(capsys.readouterr().out)
    (runs,) = every["spec"]["section"]["runSets"]
    assert [(one["key"]["name"], one["value"]) for one in runs["filters"]["filters"]] == [("group", "some")]
    assert "config:trial.optimizer/lr" in runs["runFeed"]["columnOrder"]
    assert "summary:status" in runs["runFeed"]["columnOrder"]
    (section,) = every["spec"]["section"]["panelBankConfig"]["sections"]
    assert [panel["viewType"] for panel in section["panels"]] == [
        "Parallel Coordinates Plot", "Parameter Importance", "Run History Line Plot"
    ]  # fmt: skip
    assert section["panels"][1]["config"]["targetKey"] == "best/accuracy"
    (marked,) = best["spec"]["section"]["runSets"]
    assert {"section": "summary", "name": "sweep/best"} in [
        one["key"] for one in marked["filters"]["filters"]
    ]
    (section,) = best["spec"]["section"]["panelBankConfig"]["sections"]
    assert section["panels"][0]["config"]["mediaKeys"] == ["val/confusion_picture"]
