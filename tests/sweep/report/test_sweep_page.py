"""The report: every state of a sweep has a page, which agrees with the study."""

import html
import re

import optuna
import pytest
from recorded_sweeps import BATCH, FEW_TRIALS, MANY_TRIALS, STEPS_PER_EPOCH, rising, write_sweep

from fer.sweep.cli import main
from fer.sweep.report import plots, sections
from fer.sweep.report.grid import add_grid_parameters
from fer.sweep.report.results import load_sweep, sweep_costs

EPOCH_IMAGES = BATCH * STEPS_PER_EPOCH
STATES = {
    "many": MANY_TRIALS,
    "some": FEW_TRIALS,
    "one": [("finished", rising(0.5))],
    "all failed": [("failed", [])] * 3,
    "not finite": [("pruned", [float("nan")])],
    "all pruned": [("pruned", rising(0.1, 1))] * 11,
    "unfinished": [*FEW_TRIALS, ("waiting", []), ("running", [])],
    "not started": [("waiting", [])] * 2,
}


def report(folder, *options):
    with pytest.raises(SystemExit) as exit_:
        main([str(folder), *options])
    return exit_.value.code


def open_study(folder):
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder}/sweep.db")


@pytest.mark.parametrize("trials", STATES.values(), ids=STATES)
def test_every_state_has_a_page(trials, tmp_path, capsys):
    folder = write_sweep(tmp_path / "some", trials)
    assert report(folder) == 0
    page = (folder / "report.html").read_text()
    assert page.endswith("</html>\n")
    body = page.partition("</head>")[2]
    assert not re.search(r"(?:src|href)=\"(?!#)", body)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".report")] == []
    assert str(folder / "report.html") in capsys.readouterr().out


def test_summary_has_the_main_results(tmp_path, capsys):
    folder = write_sweep(tmp_path / "some", STATES["unfinished"])
    assert report(folder) == 0
    out = capsys.readouterr().out
    assert "best     trial 0, val/accuracy 60.0 % (validation, selection split)" in out
    assert "retrain  fer-train datamodule=fer2013 'datamodule.path=a folder/fer2013.csv'" in out
    assert "2 of 7 trials have not ended" in out
    assert "1 of 7 trials failed, trial 4 with: The loss became NaN." in out
    assert "61 % of the image passes and 68 % of the time" in out  # 22 of 36 epochs; 44 of 65 s
    page = html.unescape((folder / "report.html").read_text())
    assert load_sweep(folder, None, None).command(load_sweep(folder, None, None).ranking[0]) in page


def test_text_of_a_trial_is_escaped(tmp_path):
    folder = write_sweep(tmp_path / "some", FEW_TRIALS)
    open_study(folder).set_user_attr("command", ["</code><script>x()</script>"])
    assert report(folder) == 0
    assert "<script>x()" not in (folder / "report.html").read_text()


def test_curves_end_where_the_trial_was_pruned(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)
    traces = {trace.name: trace for trace in plots.curves(sweep).figure.data}
    assert traces["trial 0"].x[-1] == 100
    assert traces["trial 2"].x[-1] == pytest.approx(33.4)
    assert traces["trial 2"].marker.symbol[-1] == "x"
    assert traces["trial 0"].line.width > traces["trial 1"].line.width


def test_plots_show_the_sweep_as_it_was_loaded(tmp_path):
    folder = write_sweep(tmp_path / "some", [*FEW_TRIALS, ("running", [])])
    sweep = load_sweep(folder, None, None)
    open_study(folder)._storage.set_trial_intermediate_value(open_study(folder).trials[5]._trial_id, 112, 0.4)
    assert "trial 5" not in {trace.name for trace in plots.curves(sweep).figure.data}
    assert plots.history(sweep).figure.data
    assert "trial 5" in {trace.name for trace in plots.curves(load_sweep(folder, None, None)).figure.data}


def test_values_that_are_not_finite_are_left_out(tmp_path):
    values = [0.1, float("nan"), 0.3]
    sweep = load_sweep(
        write_sweep(tmp_path / "some", [("finished", rising(0.6)), ("pruned", values)]), None, None
    )
    assert sweep.best_value(sweep.trials[1]) == 0.3
    traces = {trace.name: trace for trace in plots.curves(sweep).figure.data}
    assert list(traces["trial 1"].y) == [0.1, 0.3]
    unmeasured = load_sweep(
        write_sweep(tmp_path / "unmeasured", [("pruned", [float("nan")]), *FEW_TRIALS]), None, None
    )
    assert sweep_costs(unmeasured)[0].images == EPOCH_IMAGES * (1 + 9 + 9 + 3 + 1)
    (table,) = sections.trials(unmeasured).tables
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "0", "5"]


def test_page_of_proxies_has_both_commands(tmp_path, capsys):
    folder = write_sweep(tmp_path / "some", FEW_TRIALS)
    open_study(folder).set_user_attr("full_command", ["trainer.max_epochs=12"])
    assert report(folder) == 0
    page = html.unescape((folder / "report.html").read_text())
    parameters = "optimizer=adamw optimizer.lr=0.0001"
    proxy = f"fer-train datamodule=fer2013 'datamodule.path=a folder/fer2013.csv' {parameters}"
    full = f"fer-train trainer.max_epochs=12 {parameters}"
    assert re.findall(r"<code>(fer-train.*?)</code>", page) == [proxy, full]
    assert f"full     {full}\n" in capsys.readouterr().out


def test_slices_show_every_measured_trial_and_which_were_pruned(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)
    optimizer, adamw, sgd = plots.slices(sweep)
    (points,) = optimizer.figure.data
    shown = sorted(zip(points.x, points.y, points.marker.symbol, strict=True), key=lambda point: point[1])
    assert [(value, symbol) for value, _, symbol in shown] == [
        ("sgd", "circle-open"), ("adamw", "circle-open"), ("sgd", "circle"), ("adamw", "circle"),
    ]  # fmt: skip
    assert sorted(adamw.figure.data[0].y) == pytest.approx([0.2, 0.6])
    assert sorted(sgd.figure.data[0].y) == pytest.approx([0.1, 0.5])


def test_importance_needs_trials_and_finds_the_important_parameter(tmp_path):
    few, paragraph = plots.importance(load_sweep(write_sweep(tmp_path / "few", FEW_TRIALS), None, None))
    assert few is None
    assert "at least 10 measured trials, got 4" in paragraph
    # adamw reaches twice the value of sgd at every learning rate.
    trials = [("pruned", [0.4 + 0.001 * (number % 3) if number % 2 == 0 else 0.2]) for number in range(40)]
    chart, paragraph = plots.importance(load_sweep(write_sweep(tmp_path / "many", trials), None, None))
    (bars,) = chart.figure.data
    assert dict(zip(bars.y, bars.x, strict=True))["optimizer"] == max(bars.x)
    assert "all 40 measured trials after 11 % of their schedules" in paragraph


def test_parallel_coordinates_merge_the_rates_of_all_optimizers(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path / "some", FEW_TRIALS), None, None)
    figure = plots.parallel(sweep).figure
    assert list(figure.layout.xaxis.ticktext) == ["val/<br>accuracy", "optimizer", "optimizer<br>.lr"]
    # The best trial has the darkest line.
    best = max(figure.data[:-1], key=lambda line: line.y[0])
    assert best.line.color == "rgb(31, 95, 168)"
    ticks = [note.text for note in figure.layout.annotations if note.x == 0]
    assert (ticks[0], ticks[-1]) == ("10.0%", "60.0%")


def test_curves_need_several_validations(tmp_path):
    folder = write_sweep(tmp_path / "some", [("finished", [0.5])] * 3)
    section = sections.curves(load_sweep(folder, None, None))
    assert section.charts == []
    assert section.paragraphs == ["No trial was validated more than once, so there are no curves."]


def test_a_few_integers_of_a_grid_are_categories():
    words = [[f"seed={seed}", f"lr={rate}"] for seed in (3, 1, 2) for rate in (0.1, 0.2, 0.4)]
    trials = [optuna.trial.create_trial(value=0.5, user_attrs={"words": item}) for item in words]
    add_grid_parameters(trials)
    seeds, rates = trials[0].distributions.values()
    assert (seeds.choices, trials[0].params["seed"]) == ((1, 2, 3), 3)
    assert (rates.low, rates.high, rates.log) == (0.1, 0.4, False)


def test_mistakes_end_with_status_2(tmp_path, capsys):
    assert report(tmp_path) == 2
    assert "expected the folder of a sweep" in capsys.readouterr().err
    folder = write_sweep(tmp_path / "some", [("failed", [])])
    assert report(folder, "--confirm", "0") == 2
    assert "--confirm: expected an integer of at least 1, got 0" in capsys.readouterr().err
    assert report(folder, "--confirm", "2") == 2
    assert "no trial of some has finished" in capsys.readouterr().err
