"""Optuna's plots of a sweep, styled for the page."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.importance import get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
)
from plotly.colors import sample_colorscale

from fer.core.text import percent
from fer.sweep.plan import SCHEDULE_STEPS, value_at
from fer.sweep.report.grid import grid_values
from fer.sweep.report.results import SweepResults, is_percent

# With fewer measured trials, importances are noise.
MIN_TRIALS = 10
BEST, OTHER, PRUNED = "#1f5fa8", "#8fa3b8", "#c8ced6"
# From the worst to the best.
_SCALE = [[0, PRUNED], [1, BEST]]
_FONT = {"family": "Inter, system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13}


@dataclass(frozen=True)
class Chart:
    """A plot on the page.

    Attributes:
        figure: A plotly figure.
        alt: Text alternative.
        width: Minimum width in CSS pixels, below which the plot scrolls.
    """

    figure: Any
    alt: str
    width: int = 0


def history(sweep: SweepResults) -> Chart:
    """Return the value of each trial in turn, with the best so far; pruned trials at their best value."""
    figure = plot_optimization_history(sweep.study, target_name=sweep.objective)
    pruned = [trial for trial in sweep.measured if trial.state == TrialState.PRUNED]
    figure.add_scatter(
        x=[trial.number for trial in pruned], y=[sweep.best_value(trial) for trial in pruned],
        mode="markers", name="pruned, at their best", marker={"symbol": "circle-open", "color": OTHER},
    )  # fmt: skip
    figure.for_each_trace(_name_and_color)
    figure.update_yaxes(tickformat=axis_format(sweep.objective))
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return Chart(styled(figure, 380), f"{sweep.objective} of each trial in turn")


def axis_format(objective: str) -> str:
    """Return the format of ticks of an objective, in d3's notation; empty for Plotly's own."""
    return "~%" if is_percent(objective) else ""


def _name_and_color(trace: Any) -> None:
    """Rename and colour Optuna's traces; hide empty ones."""
    if trace.name == "Best Value":
        trace.update(name="best so far", line={"color": OTHER, "shape": "hv"})
    elif trace.mode == "markers" and "pruned" not in trace.name:
        trace.update(name="finished", marker={"color": BEST, "size": 8})
    trace.update(visible=trace.x is not None and len(trace.x) > 0)


def curves(sweep: SweepResults) -> Chart:
    """Return each trial's values along its schedule; a cross marks where it was pruned."""
    figure = plot_intermediate_values(sweep.study)
    best = sweep.ranking[0].number if sweep.ranking else None
    by_trace = {f"Trial{trial.number}": trial for trial in sweep.trials if trial.intermediate_values}
    for trace in figure.data:
        _style_curve(trace, by_trace[trace.name], by_trace[trace.name].number == best)
    # The best is drawn last, on top of the others.
    figure.data = sorted(figure.data, key=lambda trace: trace.line.width)
    figure.update_xaxes(title="schedule, %", range=[0, 102])
    figure.update_yaxes(title=sweep.objective, tickformat=axis_format(sweep.objective))
    return Chart(styled(figure, 440), f"{sweep.objective} of each trial along its schedule")


def _style_curve(trace: Any, trial: FrozenTrial, is_best: bool) -> None:
    is_pruned = trial.state == TrialState.PRUNED
    color = BEST if is_best else PRUNED if is_pruned else OTHER
    last = "x" if is_pruned else "circle"
    count = len(trace.x)
    trace.update(
        x=[100 * step / SCHEDULE_STEPS for step in trace.x],
        line={"color": color, "width": 3 if is_best else 1.5},
        marker={"symbol": ["circle"] * (count - 1) + [last], "size": [4] * (count - 1) + [7]},
        name=f"trial {trial.number}",
        hovertemplate="%{y:.4f} after %{x:.0f} %",
    )


def importance(sweep: SweepResults) -> tuple[Chart | None, str]:
    """Return the importance of each parameter and a paragraph on it; no plot if there are too few trials."""
    study, fraction = early_value_study(sweep)
    number = len(study.trials)
    if number < MIN_TRIALS:
        return None, (
            f"Parameter importance is not shown: it needs at least {MIN_TRIALS} measured trials, "
            f"got {number}."
        )
    with warnings.catch_warnings():
        # Optuna warns about few trials; the paragraph says so too.
        warnings.simplefilter("ignore")
        importances = get_param_importances(study)
        figure = plot_param_importances(study, target_name=sweep.objective)
    if len(importances) < 2:
        return None, "There is only one parameter, so there is no importance to compare."
    figure.update_layout(showlegend=False)
    figure.update_traces(marker_color=BEST)
    figure.update_yaxes(title="")
    # Leaves room for the labels.
    figure.update_xaxes(title="importance", range=[0, 1.2 * max(importances.values())])
    method = (
        "It is rough with fewer than about fifty trials. Method: PED-ANOVA (Watanabe et al. 2023, "
        "arXiv:2304.10255); conditional parameters as in arXiv:2601.20800."
    )
    paragraph = (
        f"Computed from the values of all {number} measured trials after {percent(fraction, 0)} of their "
        "schedules, a point that each of them reached. Later values exist only for good trials, and would "
        f"penalise the pruned ones. So the plot shows what matters for a good start. {method}"
    )
    if not sweep.can_prune:
        paragraph = f"Computed from all {number} measured trials. {method}"
    if "seed" in figure.data[0].y:
        paragraph += " A key that matters less than the seed does not matter."
    return Chart(styled(figure, 120 + 34 * len(importances)), "importance of each parameter"), paragraph


def parallel(sweep: SweepResults) -> Chart | None:
    """Return parallel coordinates, a line for each trial; None if no trial was measured."""
    study = _plot_study(sweep, sweep.best_value, _merged_ranges(sweep))
    if not study.trials:
        return None
    figure = plot_parallel_coordinate(study, target_name=sweep.objective)
    names = [sweep.objective, *sorted({name for trial in study.trials for name in trial.params})]
    figure = styled(figure, 460)
    figure.update_xaxes(ticktext=[_wrapped(name) for name in names], tickangle=0)
    _color_lines(figure, sweep)
    figure.update_layout(margin={"l": 50, "b": 60})
    return Chart(figure, "each trial as a line through its parameters", 125 * len(names))


def _color_lines(figure: Any, sweep: SweepResults) -> None:
    """Colour the lines of parallel coordinates; Optuna's lightest lines can hardly be seen on white."""
    *lines, bar = figure.data
    # The first axis has the objective.
    shares = [line.y[0] if sweep.sign > 0 else 1 - line.y[0] for line in lines]
    for line, color in zip(lines, sample_colorscale(_SCALE, shares), strict=True):
        line.line.color = color
    bar.marker.update(colorscale=_SCALE, colorbar={"tickformat": axis_format(sweep.objective)})
    if axis_format(sweep.objective):
        figure.for_each_annotation(_as_percent, selector={"x": 0})


def _as_percent(annotation: Any) -> None:
    """Show a tick of the objective's axis in per cent."""
    with suppress(ValueError):
        annotation.text = f"{float(annotation.text):.1%}"


def slices(sweep: SweepResults) -> Iterator[Chart]:
    """Yield, for each parameter, the best value of each trial against it; pruned trials are hollow."""
    study = _plot_study(sweep, sweep.best_value, {})
    used = {name for trial in study.trials for name in trial.params}
    for name in parameter_names(sweep):
        if name in used:
            figure = plot_slice(study, params=[name], target_name=sweep.objective)
            figure.for_each_trace(lambda trace: _style_points(trace, study))
            _remove_quotes(figure)
            figure.update_yaxes(tickformat=axis_format(sweep.objective))
            yield Chart(styled(figure, 300), f"{sweep.objective} against {name}")


def _remove_quotes(figure: Any) -> None:
    """Remove the quotes in which Optuna shows text on an axis of categories."""
    names = figure.layout.xaxis.categoryarray
    if names is not None:
        figure.update_xaxes(categoryarray=[str(name).strip("'") for name in names])
        for trace in figure.data:
            trace.x = [str(name).strip("'") for name in trace.x]


def _style_points(trace: Any, study: Study) -> None:
    # Optuna colours points by the number of their trial.
    numbers = trace.marker.color
    if isinstance(numbers, str) or numbers is None:
        return
    pruned = [study.trials[number].user_attrs["pruned"] for number in numbers]
    symbols = ["circle-open" if is_pruned else "circle" for is_pruned in pruned]
    marker = {"symbol": symbols, "showscale": False, "color": BEST, "size": 8, "line": {"width": 1.5}}
    trace.update(marker=marker)


def parameter_names(sweep: SweepResults) -> list[str]:
    """Return the names of the parameters in the study, in the order of the search space."""
    if sweep.is_grid:
        return list(grid_values(sweep.trials))
    return list(sweep.study.user_attrs["search"]["space"])


def _wrapped(name: str) -> str:
    """Return ``optimizer.lr[adamw, adam]`` with line breaks, to fit below an axis."""
    return name.replace(".", "<br>.").replace("[", "<br>[").replace("/", "/<br>")


def styled(figure: Any, height: int) -> Any:
    """Return a figure at full width and without a title, as the page has a heading above it."""
    figure.update_layout(
        title=None, width=None, height=height, autosize=True, template="plotly_white", font=_FONT,
        margin={"l": 10, "r": 10, "t": 30, "b": 10}, paper_bgcolor="#fff", plot_bgcolor="#fff",
    )  # fmt: skip
    figure.update_yaxes(automargin=True)
    # Plotly would write 0.0001 as 100µ.
    figure.update_xaxes(automargin=True, exponentformat="power")
    return figure


def early_value_study(sweep: SweepResults) -> tuple[Study, float]:
    """Return a study of the values at the last point that all measured trials have reached.

    Returns:
        The study, and that point as a fraction of the schedule.
    """
    if len(sweep.objectives) > 1:
        # Optuna stores no reports then.
        return _plot_study(sweep, sweep.best_value, {}), 1.0
    step = min((max(trial.intermediate_values) for trial in sweep.measured), default=0)
    return _plot_study(sweep, lambda trial: value_at(trial, step), {}), step / SCHEDULE_STEPS


def _plot_study(
    sweep: SweepResults,
    value_of: Callable[[FrozenTrial], float | None],
    merged: Mapping[str, tuple[str, BaseDistribution]],
) -> Study:
    """Return a study in memory in which every measured trial is complete: Optuna's plots show no others.

    Args:
        sweep: The sweep.
        value_of: Returns the value of a trial.
        merged: Name of a parameter -> new name and distribution.
    """
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(direction=sweep.study.direction, storage=storage, study_name=sweep.name)
    for trial in sweep.measured:
        if (value := value_of(trial)) is not None:
            renamed = {name: merged.get(name, (name, known)) for name, known in trial.distributions.items()}
            study.add_trial(
                create_trial(
                    params={renamed[name][0]: parameter for name, parameter in trial.params.items()},
                    distributions=dict(renamed.values()),
                    value=value,
                    user_attrs={"pruned": trial.state == TrialState.PRUNED},
                )
            )
    return study


def _merged_ranges(sweep: SweepResults) -> dict[str, tuple[str, BaseDistribution]]:
    """Return, for keys whose range depends on another choice: name -> key and the range over all choices."""
    known = {name: domain for trial in sweep.measured for name, domain in trial.distributions.items()}
    by_key: dict[str, dict[str, BaseDistribution]] = {}
    for name, domain in known.items():
        by_key.setdefault(name.partition("[")[0], {})[name] = domain
    merged: dict[str, tuple[str, BaseDistribution]] = {}
    for key, domains in by_key.items():
        ranges = [
            domain
            for domain in domains.values()
            if isinstance(domain, FloatDistribution) and domain.step is None
        ]
        if len(ranges) == len(domains) and len({domain.log for domain in ranges}) == 1:
            low, high = min(domain.low for domain in ranges), max(domain.high for domain in ranges)
            merged |= dict.fromkeys(domains, (key, FloatDistribution(low, high, log=ranges[0].log)))
    return merged
