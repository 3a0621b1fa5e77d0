"""The Pareto front of a search with several objectives: a plot for each further objective, and a table."""

from collections.abc import Sequence

import plotly.graph_objects as graphs
from optuna.trial import FrozenTrial

from fer.analysis.report.document import Cell, Table
from fer.sweep.leaderboard import words_of
from fer.sweep.objectives import COSTS, is_feasible, objectives_of
from fer.sweep.report.plots import BEST, OTHER, Chart, axis_format, styled
from fer.sweep.report.results import SweepResults, format_value, parameters_of
from fer.sweep.report.sections import PageSection, rounded, without_empty_columns

# Other trials of the front whose commands are shown.
_COMMANDS = 5


def pareto_section(sweep: SweepResults) -> list[PageSection]:
    """Return the sections on the Pareto front; none with one objective, or without a finished trial."""
    if len(sweep.objectives) == 1 or not sweep.front:
        return []
    on_front = [sweep.trials[number] for number in sweep.front]
    paragraphs = [
        f"{len(on_front)} of {len(sweep.ranking)} finished trials are on the front: no other trial is better "
        "in every objective."
    ]
    if beyond := sum(not is_feasible(trial) for trial in sweep.trials):
        paragraphs.append(f"{beyond} more trials were not trained, because their network is beyond a limit.")
    keys = list(dict.fromkeys(key for trial in on_front for key in parameters_of(trial)))
    columns = ("trial", *sweep.objectives, *keys)
    rows: list[tuple[Cell, ...]] = [
        (str(trial.number), *_values(sweep, trial), *(rounded(parameters_of(trial).get(key)) for key in keys))
        for trial in on_front
    ]
    table = without_empty_columns(Table(columns, rows, "The Pareto front, best first objective on top."))
    charts = [_chart(sweep, name, on_front) for name in sweep.objectives[1:]]
    note = "Dark: on the front, joined by the line. Light: other finished trials."
    if COSTS["export_ms"] in sweep.objectives:
        note += f" {COSTS['export_ms']}: ms for one face, one thread."
    front = PageSection("pareto", "Pareto front", paragraphs, tables=[table], charts=charts, note=note)
    return [front, *_commands(sweep, [trial for trial in on_front if trial != sweep.ranking[0]])]


def _commands(sweep: SweepResults, others: Sequence[FrozenTrial]) -> list[PageSection]:
    """Return the commands that train the other trials of the front; none if the best trial is alone."""
    if not others:
        return []
    named = ", ".join(str(trial.number) for trial in others[:_COMMANDS])
    more = f" Those of {len(others) - _COMMANDS} more are not shown." if len(others) > _COMMANDS else ""
    text = f"Trials {named}, in this order. That of the best trial is above.{more}"
    commands = [sweep.command(trial) for trial in others[:_COMMANDS]]
    return [PageSection("front-commands", "Commands of the front", [text], commands)]


def _values(sweep: SweepResults, trial: FrozenTrial) -> list[str]:
    values = objectives_of(trial)
    return [
        f"{values[name]:.3g}" if name in COSTS.values() else format_value(name, values[name])
        for name in sweep.objectives
    ]


def _chart(sweep: SweepResults, name: str, on_front: Sequence[FrozenTrial]) -> Chart:
    """Return the first objective of the finished trials against another one."""
    others = [trial for trial in sweep.ranking if trial.number not in sweep.front]
    figure = graphs.Figure()
    for trials, color, label in ((others, OTHER, "other trials"), (on_front, BEST, "front")):
        ordered = sorted(trials, key=lambda trial: objectives_of(trial)[name])
        figure.add_scatter(
            x=[objectives_of(trial)[name] for trial in ordered],
            y=[objectives_of(trial)[sweep.objective] for trial in ordered],
            mode="lines+markers" if trials is on_front else "markers", name=label,
            line={"shape": "hv", "color": color, "width": 1.5}, marker={"color": color, "size": 8},
            text=[f"trial {trial.number}: {' '.join(words_of(trial))}" for trial in ordered],
            hovertemplate="%{text}<br>%{y:.4f} at %{x:.4g}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title=_axis(name))
    figure.update_yaxes(title=sweep.objective, tickformat=axis_format(sweep.objective))
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return Chart(styled(figure, 420), f"{sweep.objective} against {name}")


def _axis(name: str) -> str:
    units = {COSTS["export_ms"]: "ms", COSTS["export_mb"]: "MB"}
    return f"{name}, {units[name]}" if name in units else name
