"""The scripts for sweeps: replay of ASHA, JSON of the W&B dashboard."""

import importlib.util
import json
import sys
from argparse import Namespace
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from recorded_sweeps import EPOCHS, FEW_TRIALS, rising, write_sweep

from fer.sweep.report.results import load_sweep
from fer.training.metrics import OVERALL

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_replayed_asha_prunes_worse_trials_at_the_first_rung(tmp_path, capsys):
    """Curves of falling quality: the first is trained to its end, each later one for an epoch."""
    trials = [("finished", rising(0.6 - 0.05 * number)) for number in range(8)]
    write_sweep(tmp_path / "multirun" / "unpruned", trials)
    options = Namespace(output=tmp_path, epochs=EPOCHS, first=1, orders=5)
    load("benchmark_sweep").replay(options)
    out = capsys.readouterr().out
    assert f"{(9 + 7) / (8 * 9):.1%} of the image passes" in out
    assert "7 of 8 pruned; best 60.00%, unpruned 60.00%: +0.00 points" in out
    assert "the best is 0.00 points worse, at most half a point in 100% of the orders" in out


def test_replay_prunes_a_trial_that_improves_late(tmp_path, capsys):
    late = [0.01] * 8 + [0.9]
    write_sweep(tmp_path / "multirun" / "unpruned", [("finished", rising(0.6)), ("finished", late)])
    load("benchmark_sweep").replay(Namespace(output=tmp_path, epochs=EPOCHS, first=1, orders=0))
    assert "best 60.00%, unpruned 90.00%: -30.00 points" in capsys.readouterr().out


def write_timed_sweep(folder, trials):
    """Write a sweep of trials ``(state, start, end, training, callback)``, in seconds."""
    write_sweep(folder, [], runs=False)
    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder}/sweep.db")
    for number, (state, start, end, training, callback) in enumerate(trials):
        trial = optuna.trial.create_trial(
            state=state, value=0.5 if state == TrialState.COMPLETE else None,
            user_attrs={"watch_seconds": callback},
        )  # fmt: skip
        trial.datetime_start, trial.datetime_complete = (
            datetime(2026, 1, 1) + timedelta(seconds=at) for at in (start, end)
        )
        study.add_trial(trial)
        (folder / str(number)).mkdir()
        (folder / str(number) / "run.json").write_text(json.dumps({"fit_seconds": training}))
    return load_sweep(folder, None, None)


def test_overhead_includes_the_callback_and_not_the_training(tmp_path):
    done = TrialState.COMPLETE
    trials = [
        (done, 0, 12, 10.0, 0.0), (TrialState.PRUNED, 12, 18, 5.0, 0.5), (done, 18, 29, 10.0, 0.25),
        (done, 500, 512, 11.0, 0.0),  # after a pause
    ]  # fmt: skip
    overheads = load("benchmark_sweep").overhead_seconds(write_timed_sweep(tmp_path / "some", trials))
    assert overheads == pytest.approx([6 - 5 + 0.5, 11 - 10 + 0.25])


def test_trials_per_hour_are_finished_trials(tmp_path):
    done, pruned = TrialState.COMPLETE, TrialState.PRUNED
    trials = [(done, 0, 100, 0.0, 0.0), (done, 100, 360, 0.0, 0.0), (pruned, 360, 400, 0.0, 0.0)]
    sweep = write_timed_sweep(tmp_path / "some", [*trials, (TrialState.FAIL, 400, 900, 0.0, 0.0)])
    assert load("benchmark_sweep").trials_per_hour(sweep) == pytest.approx(20)  # two in 360 s


@pytest.mark.parametrize(
    ("trials", "done"),
    [
        (FEW_TRIALS, True),
        ([*FEW_TRIALS, ("waiting", [])], False),
        ([*FEW_TRIALS, ("running", [])], False),
        (None, False),
    ],
)
def test_sweep_is_done_when_all_its_trials_have_ended(trials, done, tmp_path):
    if trials is not None:
        write_sweep(tmp_path / "multirun" / "some", trials)
    assert load("benchmark_sweep").is_done(Namespace(output=tmp_path), "some") == done


@pytest.fixture
def dashboard(tmp_path, monkeypatch, capsys):
    """Return both views as they would be sent to W&B."""
    folder = write_sweep(tmp_path / "some", FEW_TRIALS)

    def views(*options):
        monkeypatch.setattr(sys, "argv", ["", str(folder), "--entity", "me", "--dry-run", *options])
        with pytest.raises(SystemExit) as exit_:
            load("wandb_workspace").main()
        assert exit_.value.code == 0
        return json.loads(capsys.readouterr().out)

    return views


def test_dashboard_of_a_sweep_with_its_own_group(dashboard):
    for view in dashboard("--group", "thesis"):
        (runs,) = view["spec"]["section"]["runSets"]
        assert (runs["filters"]["filters"][0]["key"]["name"], runs["filters"]["filters"][0]["value"]) == (
            "group", "thesis"
        )  # fmt: skip


def test_dashboards_of_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["", "--entity", "me", "--group", "thesis", "--dry-run"])
    with pytest.raises(SystemExit):
        load("wandb_workspace").main()
    compare, single = json.loads(capsys.readouterr().out)
    assert [compare["displayName"], single["displayName"]] == ["Compare runs, thesis", "One run, thesis"]
    (runs,) = compare["spec"]["section"]["runSets"]
    assert [one["value"] for one in runs["filters"]["filters"]] == ["thesis"]
    assert {"summary:best/accuracy", "config:resolved.flops"} <= set(runs["runFeed"]["columnOrder"])
    configs = [
        panel.get("config") or {}
        for view in (compare, single)
        for section in view["spec"]["section"]["panelBankConfig"]["sections"]
        for panel in section["panels"]
    ]
    shown = {name for config in configs for name in (config.get("metrics") or config.get("mediaKeys") or [])}
    logged = {*OVERALL, "train/loss", "train/loss_step", "lr", "val_emotion/f1/happy", "best/uar"}
    assert logged | {"plots/confusion_matrix", "plots/per_emotion", "samples/augmentation"} <= shown


def test_dashboard_without_an_account(dashboard):
    every, best = dashboard()
    (runs,) = every["spec"]["section"]["runSets"]
    assert [(one["key"]["name"], one["value"]) for one in runs["filters"]["filters"]] == [("group", "some")]
    assert "config:trial.optimizer/lr" in runs["runFeed"]["columnOrder"]
    assert "summary:status" in runs["runFeed"]["columnOrder"]
    (section,) = every["spec"]["section"]["panelBankConfig"]["sections"]
    assert [panel["viewType"] for panel in section["panels"]] == [
        "Parallel Coordinates Plot", "Parameter Importance", "Run History Line Plot"
    ]  # fmt: skip
    assert section["panels"][1]["config"]["targetKey"] == "best/accuracy"
    (best_runs,) = best["spec"]["section"]["runSets"]
    assert {"section": "summary", "name": "sweep/best"} in [
        one["key"] for one in best_runs["filters"]["filters"]
    ]
    (section,) = best["spec"]["section"]["panelBankConfig"]["sections"]
    assert section["panels"][0]["config"]["mediaKeys"] == ["plots/confusion_matrix"]
