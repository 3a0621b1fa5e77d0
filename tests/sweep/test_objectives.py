"""Searches with several objectives, and with limits of the cost in use."""

import optuna
import pytest
from optuna.samplers import GPSampler
from optuna.trial import TrialState
from small_sweeps import SMALL

from fer.core.errors import FerError
from fer.sweep import worker
from fer.sweep.leaderboard import ranked
from fer.sweep.objectives import Constraints, beyond_limits, check_objectives, front, with_first_value
from fer.sweep.plan import build_sampler
from fer.sweep.report.page import report
from fer.sweep.report.results import load_sweep

TWO = "sweep.objectives=[val/accuracy,perf/export_ms]"
SPACE = "sweep.space={model.image_size:[16,32,48]}"


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (["val/accuracy"], "expected two different ones or more"),
        (["val/accuracy", "val/accuracy"], "expected two different ones or more"),
        (["perf/export_ms", "val/accuracy"], "expected a validation metric first"),
        (["val/accuracy", "perf/export_m"], "got perf/export_m. Did you mean"),
        (["val/accuracy", "test/accuracy"], "The test split must"),
    ],
)
def test_mistakes_in_objectives(objectives, message):
    with pytest.raises(FerError, match=message.replace(".", r"\.")):
        check_objectives(objectives)


def test_limits():
    assert Constraints().limits() == {}
    limits = Constraints(export_mb=5, export_ms=None)
    assert limits.excess({"perf/export_mb": 7.0, "perf/export_ms": 1.0}) == {"export_mb": 2.0}
    with pytest.raises(FerError, match=r"sweep\.constraints\.export_mb: expected a number above 0"):
        Constraints(export_mb=0)


def test_front_is_ordered_by_the_first_objective():
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.5, 2.0), (0.6, 3.0), (0.4, 2.5), (0.3, 1.0)):
        study.add_trial(optuna.trial.create_trial(values=values))
    assert front(study) == [1, 0, 3]
    assert [with_first_value(trial).value for trial in study.trials] == [0.5, 0.6, 0.4, 0.3]
    assert front(optuna.create_study()) == []


def test_equal_trials_are_ranked_by_the_further_objectives():
    values = [(0.5, 1.0, 0.9), (0.6, 3.0, 0.9), (0.6, 2.0, 0.9), (0.6, 2.0, 0.8)]
    names = ("val/accuracy", "perf/export_ms", "val/loss")
    trials = [
        optuna.trial.create_trial(
            value=first, user_attrs={"objectives": dict(zip(names, (first, *rest), strict=True))}
        )
        for first, *rest in values
    ]
    ranking = [tuple(trial.user_attrs["objectives"].values()) for trial in ranked(trials, 1)]
    assert ranking == [values[3], values[2], values[1], values[0]]


def test_sampler_gp():
    assert isinstance(build_sampler("gp", 0, 1), GPSampler)


@pytest.fixture
def costs(monkeypatch):
    """Replace the measurement: 1 ms and 1 MB for 16 px, in proportion to the side."""

    def measure(_, config, __):
        return {
            "perf/export_mb": config.model.image_size / 16,
            "perf/export_ms": config.model.image_size / 16,
        }

    monkeypatch.setattr(worker, "network_costs", measure)


def test_limits_that_no_trial_meets_are_named(costs, fer_train, capsys):
    options = ("sweep=custom", "sweep.name=none", "sweep.sampler=grid", "trainer.max_epochs=1")
    assert fer_train(*SMALL, *options, SPACE, "sweep.constraints.export_mb=0.5").status == 0
    assert "WARNING: every trial is beyond sweep.constraints.export_mb=0.5" in capsys.readouterr().out


@pytest.mark.slow
def test_two_objectives_with_a_limit(costs, fer_train, tmp_path, capsys):
    options = ("sweep=custom", "sweep.name=two", "sweep.sampler=grid", "trainer.max_epochs=1")
    assert fer_train(*SMALL, *options, TWO, SPACE, "sweep.constraints.export_mb=2").status == 0
    out = capsys.readouterr().out
    assert "not trained: perf/export_mb 3 > 2" in out
    assert "2 finished, 0 pruned, 1 beyond the limits, 0 failed" in out
    assert "Pareto front: no other trial is better in every objective" in out
    folder = tmp_path / "outputs" / "multirun" / "two"
    study = optuna.load_study(study_name="two", storage=f"sqlite:///{folder}/sweep.db")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    by_size = {trial.params["model.image_size"]: trial for trial in study.trials}
    assert by_size[48].state == TrialState.PRUNED
    assert by_size[48].constraints == {"export_mb": 1.0}
    assert beyond_limits(by_size[48])
    assert not (folder / str(by_size[48].number) / "run.json").exists()
    assert [by_size[size].values[1] for size in (16, 32)] == [1.0, 2.0]
    sweep = load_sweep(folder, None, None)
    assert sweep.front == [trial.number for trial in sorted(study.best_trials, key=lambda t: -t.values[0])]
    assert by_size[16].number in sweep.front
    page = report(sweep).read_text()
    assert "Pareto front" in page
    assert "ms for one face, one thread" in page
    # Nothing is pruned with several objectives.
    assert "without pruning" not in page.partition("</head>")[2]
    # Another search of the same name.
    assert fer_train(*SMALL, *options, SPACE, "sweep.resume=true").status == 2


@pytest.mark.slow
def test_costs_of_a_network_are_measured_once_in_a_sweep(fer_train, tmp_path):
    options = (
        "sweep=custom",
        "sweep.name=cost",
        "sweep.n_trials=2",
        "trainer.max_epochs=1",
        "sweep.sampler=gp",
    )
    space = "sweep.space={optimizer.lr:{low:1e-4,high:1e-2,log:true}}"
    assert fer_train(*SMALL, *options, space, "sweep.constraints.export_ms=1000").status == 0
    storage = f"sqlite:///{tmp_path}/outputs/multirun/cost/sweep.db"
    study = optuna.load_study(study_name="cost", storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    first, second = (trial.user_attrs["costs"] for trial in study.trials)
    assert first == second
    assert 0 < first["perf/export_ms"] < 1000
    assert len([name for name in study.user_attrs if name.startswith("cost:")]) == 1
    assert study.best_trial.constraints["export_ms"] < 0


def test_reports_of_older_sweeps_have_one_objective(tmp_path):
    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/sweep.db", study_name="old", direction="maximize"
    )
    study.set_user_attr("search", {"objective": "val/accuracy", "space": {}})
    sweep = load_sweep(tmp_path, None, "old")
    assert (sweep.objectives, sweep.front) == (["val/accuracy"], [])
