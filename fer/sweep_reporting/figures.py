"""Optuna's own plots of a sweep, fitted to the page."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optuna.importance import get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
)

from fer.sweep.search import STEPS
from fer.sweep_reporting.found import FoundSweep
from fer.sweep_reporting.retold import early, reached, reached_by_key
from fer.sweep_reporting.written import percent

ENOUGH = 10  # trials, below which importances are noise
BEST, OTHER, STOPPED = "#1f5fa8", "#8fa3b8", "#c8ced6"
_FONT = {"family": "Inter, system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13}


@dataclass(frozen=True)
class Chart:
    """A plot on the page.

    Attributes:
        figure: Of plotly.
        alt: What it shows, for those who cannot see it.
        width: In CSS pixels below which it scrolls instead of shrinking further.
    """

    figure: Any
    alt: str
    width: int = 0


def history(sweep: FoundSweep) -> Chart:
    """Return how the best value grew, with the pruned trials where they were stopped."""
    figure = plot_optimization_history(sweep.study, target_name=sweep.objective)
    pruned = [trial for trial in sweep.judged if trial.state == TrialState.PRUNED]
    figure.add_scatter(
        x=[trial.number for trial in pruned], y=[sweep.reached(trial) for trial in pruned],
        mode="markers", name="pruned, best until then", marker={"symbol": "circle-open", "color": OTHER},
    )  # fmt: skip
    figure.for_each_trace(_name_and_color)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return Chart(_fitted(figure, 380), f"{sweep.objective} of each trial in turn")


def _name_and_color(trace: Any) -> None:
    """Say what Optuna's traces are; hide those without a trial."""
    if trace.name == "Best Value":
        trace.update(name="best until then", line={"color": OTHER, "shape": "hv"})
    elif trace.mode == "markers" and "pruned" not in trace.name:
        trace.update(name="finished", marker={"color": BEST, "size": 8})
    trace.update(visible=trace.x is not None and len(trace.x) > 0)


def curves(sweep: FoundSweep) -> Chart:
    """Return each trial's values along its schedule; a cross ends those that were stopped early."""
    figure = plot_intermediate_values(sweep.study)
    best = sweep.ranking[0].number if sweep.ranking else None
    drawn = {f"Trial{trial.number}": trial for trial in sweep.trials if trial.intermediate_values}
    for trace in figure.data:
        _draw_curve(trace, drawn[trace.name], drawn[trace.name].number == best)
    figure.data = sorted(figure.data, key=lambda trace: trace.line.width)  # the best lies on top
    figure.update_xaxes(title="part of the schedule, %", range=[0, 102])
    figure.update_yaxes(title=sweep.objective)
    return Chart(_fitted(figure, 440), f"{sweep.objective} of each trial along its schedule")


def _draw_curve(trace: Any, trial: FrozenTrial, is_best: bool) -> None:
    is_pruned = trial.state == TrialState.PRUNED
    color = BEST if is_best else STOPPED if is_pruned else OTHER
    last = "x" if is_pruned else "circle"
    count = len(trace.x)
    trace.update(
        x=[100 * step / STEPS for step in trace.x],
        line={"color": color, "width": 3 if is_best else 1.5},
        marker={"symbol": ["circle"] * (count - 1) + [last], "size": [4] * (count - 1) + [7]},
        name=f"trial {trial.number}",
        hovertemplate="%{y:.4f} after %{x:.0f} %",
    )


def importance(sweep: FoundSweep) -> tuple[Chart | None, str]:
    """Return how much each parameter mattered and a sentence on it; no plot where there is nothing to say."""
    study, share = early(sweep)
    number = len(study.trials)
    if number < ENOUGH:
        return None, (
            f"How much each parameter mattered is not shown: {number} of the at least {ENOUGH} trials that "
            "it takes have been measured."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on choices that few trials made; the sentence says so
        found = get_param_importances(study)
        figure = plot_param_importances(study, target_name=sweep.objective)
    if len(found) < 2:
        return None, "There is one parameter, so none matters more than another."
    figure.update_layout(showlegend=False)
    figure.update_traces(marker_color=BEST)
    figure.update_yaxes(title="")
    figure.update_xaxes(title="share", range=[0, 1.2 * max(found.values())])  # room for the numbers
    words = (
        f"Judged where all {number} measured trials have been, after {percent(share)} of their schedules: "
        "later only those are left that did well, and trials stopped early would be blamed for that. So it "
        "says what matters for a good start. Rough with fewer than about fifty trials. PED-ANOVA "
        "(Watanabe et al. 2023, arXiv:2304.10255), for parameters that go with a choice as in "
        "arXiv:2601.20800."
    )
    return Chart(_fitted(figure, 120 + 34 * len(found)), "importance of each parameter"), words


def parallel(sweep: FoundSweep) -> Chart | None:
    """Return a line a trial through its parameters; None where no trial was measured."""
    study = reached_by_key(sweep)
    if not study.trials:
        return None
    figure = plot_parallel_coordinate(study, target_name=sweep.objective)
    names = [sweep.objective, *sorted({name for trial in study.trials for name in trial.params})]
    figure = _fitted(figure, 460)
    figure.update_xaxes(ticktext=[_broken(name) for name in names], tickangle=0)
    figure.update_layout(margin={"l": 50, "b": 60})
    return Chart(figure, "each trial as a line through its parameters", 125 * len(names))


def slices(sweep: FoundSweep) -> Iterator[Chart]:
    """Yield, for each parameter, the value reached against it; pruned trials are hollow."""
    study = reached(sweep)
    there = {name for trial in study.trials for name in trial.params}
    for name in search_names(sweep):
        if name in there:
            figure = plot_slice(study, params=[name], target_name=sweep.objective)
            figure.for_each_trace(lambda trace: _draw_points(trace, study))
            yield Chart(_fitted(figure, 300), f"{sweep.objective} against {name}")


def _draw_points(trace: Any, study: Study) -> None:
    numbers = trace.marker.color  # of their trials, in the plot's own order
    if isinstance(numbers, str) or numbers is None:
        return
    pruned = [study.trials[number].user_attrs["pruned"] for number in numbers]
    symbols = ["circle-open" if hollow else "circle" for hollow in pruned]
    look = {"symbol": symbols, "showscale": False, "color": BEST, "size": 8, "line": {"width": 1.5}}
    trace.update(marker=look)


def search_names(sweep: FoundSweep) -> list[str]:
    """Return the names of the parameters in the study, in the order of the space."""
    return list(sweep.study.user_attrs["search"]["space"])


def _broken(name: str) -> str:
    """Break ``optimizer.lr[adamw, adam]`` into the lines that fit below an axis."""
    return name.replace(".", "<br>.").replace("[", "<br>[").replace("/", "/<br>")


def _fitted(figure: Any, height: int) -> Any:
    """Return a figure as wide as its place, without a title: the page has one above it."""
    figure.update_layout(
        title=None, width=None, height=height, autosize=True, template="plotly_white", font=_FONT,
        margin={"l": 10, "r": 10, "t": 30, "b": 10}, paper_bgcolor="#fff", plot_bgcolor="#fff",
    )  # fmt: skip
    figure.update_yaxes(automargin=True)
    figure.update_xaxes(automargin=True)
    return figure
