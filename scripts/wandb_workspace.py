"""Save W&B dashboards: of single runs and their comparison, or of a sweep.

    uv run python scripts/wandb_workspace.py --entity ME [--group NAME] [--dry-run]
    uv run python scripts/wandb_workspace.py outputs/multirun/optimizers --entity ME [--dry-run]

Without a folder, two views of the project: one to compare runs (runs table, best scores, learning curves,
differences of options), and one to look at a run (metrics, scores by emotion, confusion matrix, errors,
augmented faces). With the folder of a sweep, one view of all trials (runs table, parallel coordinates,
parameter importance, learning curves), and one of the best trial, which is tagged when the sweep ends. Runs
must have been logged with logger=wandb, and uploaded (`wandb sync`). Saving needs an account with write
access to the project; `--dry-run` prints what would be saved, and needs neither account nor network.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from fer.core.command_line import run_command
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.sweep.report.results import SweepResults, load_sweep, parameters_of
from fer.training.lightning_loggers import STEP
from fer.training.metrics import OVERALL, best_name

EPOCH = "epoch"
# Options and facts that most often tell runs apart, as columns of the runs table.
_COLUMNS = (
    "model.name", "attention.name", "loss.name", "optimizer.name", "optimizer.lr", "scheduler.name",
    "trainer.max_epochs", "seed", "resolved.parameters", "resolved.flops", "resolved.device_name",
)  # fmt: skip
# Title of a media panel -> the key that it shows.
_PICTURES = {
    "Confusion matrix (validation, selection split)": "plots/confusion_matrix",
    "Scores by emotion (validation, selection split)": "plots/per_emotion",
    "Augmented training images": "samples/augmentation",
}


def main() -> None:
    """Save the views, or print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="folder of a sweep: outputs/multirun/NAME")
    parser.add_argument(
        "--storage", help="sweep.storage of the sweep (default: the address saved in its folder)"
    )
    parser.add_argument("--name", help="sweep.name of the sweep (default: the name of its folder)")
    parser.add_argument("--entity", required=True, help="W&B user or team")
    project = os.environ.get("WANDB_PROJECT", "fer")
    parser.add_argument("--project", default=project, help=f"W&B project (default: {project})")
    group = "logger.wandb.group of the runs (default: all runs; of a sweep, its name)"
    parser.add_argument("--group", help=group)
    parser.add_argument("--dry-run", action="store_true", help="print the views as JSON")
    options = parser.parse_args()
    sys.exit(run_command(lambda: run(options)))


def run(options: argparse.Namespace) -> None:
    """Build both views; save or print them.

    Raises:
        FerError: There is no such sweep, or W&B does not accept the views.
    """
    if options.folder is None:
        target = options.entity, options.project, options.group
        views = [comparison(*target), single_run(*target)]
    else:
        sweep = load_sweep(options.folder, options.storage, options.name)
        target = options.entity, options.project, options.group or sweep.name
        views = [overview(sweep, *target), best(sweep, *target)]
    if options.dry_run:
        print(json.dumps([specification(view) for view in views], indent=1))
        return
    for view in views:
        save(view)


def comparison(entity: str, project: str, group: str | None) -> workspaces.Workspace:
    """Return the view that compares runs.

    Args:
        entity: W&B user or team.
        project: W&B project.
        group: W&B group of the runs; None for all runs of the project.
    """
    scores = [best_name(name) for name in ("val/accuracy", "val/macro_f1", "val/uar")]
    bars = [
        reports.BarPlot(title=name, metrics=[name], layout=reports.Layout(x=8 * i, w=8, h=7))
        for i, name in enumerate(scores)
    ]
    options = [reports.RunComparer(diff_only=True, layout=reports.Layout(w=24, h=14))]
    sections = [
        _section("Best epoch (validation, selection split)", bars),
        _section("Learning curves", _lines({name: [name] for name in OVERALL}, EPOCH)),
        _section("Training", _lines(_TRAINING, STEP)),
        _section("Options that differ", options),
    ]
    table = ["run:displayName", "summary:status", *(f"summary:{best_name(name)}" for name in OVERALL)]
    table += [f"config:{name}" for name in _COLUMNS]
    return _view("Compare runs", entity, project, group, sections, table)


def single_run(entity: str, project: str, group: str | None) -> workspaces.Workspace:
    """Return the view of one run at a time; W&B applies it to the runs that are selected in the table.

    Args:
        entity: W&B user or team.
        project: W&B project.
        group: W&B group of the runs; None for all runs of the project.
    """
    curves = {"Losses": ["train/loss", "val/loss"], "Accuracies": ["train/accuracy", "val/accuracy"],
              "Means over emotions": ["val/macro_f1", "val/uar", "val/worst_f1"], "Calibration": ["val/ece"],
              "F1 by emotion": [f"val_emotion/f1/{name}" for name in FER7.names],
              "Recall by emotion": [f"val_emotion/recall/{name}" for name in FER7.names]}  # fmt: skip
    pictures = [
        reports.MediaBrowser(title=title, media_keys=[key], layout=reports.Layout(x=8 * i, w=8, h=10))
        for i, (title, key) in enumerate(_PICTURES.items())
    ]
    tables = [
        reports.WeavePanelSummaryTable(table_name=name, layout=reports.Layout(y=10 * i, w=24, h=10))
        for i, name in enumerate(("samples/errors", "plots/scores"))
    ]
    sections = [
        _section("Metrics", _lines(curves, EPOCH)),
        _section("Pictures", pictures),
        _section("Errors and scores of the best epoch", tables),
        _section("Training", _lines(_TRAINING, STEP)),
    ]
    columns = ["run:displayName", "summary:status", f"summary:{best_name('val/accuracy')}"]
    return _view("One run", entity, project, group, sections, columns)


# Title of a plot -> metrics of steps.
_TRAINING = {
    "Loss of the last steps": ["train/loss_step"],
    "Learning rate": ["lr"],
    "Images per second": ["perf/images_per_second_step"],
}


def _lines(plots: dict[str, list[str]], x: str) -> list[Any]:
    """Return line plots, three beside each other, of title -> metrics."""
    return [
        reports.LinePlot(
            title=title, x=x, y=list(names), layout=reports.Layout(x=8 * (i % 3), y=7 * (i // 3), w=8, h=7),
            max_runs_to_show=100,
        )
        for i, (title, names) in enumerate(plots.items())
    ]  # fmt: skip


def _section(name: str, panels: list[Any]) -> workspaces.Section:
    return workspaces.Section(name=name, panels=panels, is_open=True)


def _view(
    name: str, entity: str, project: str, group: str | None, sections: list[workspaces.Section],
    columns: list[str],
) -> workspaces.Workspace:  # fmt: skip
    """Return a view of the runs of a group, the most accurate first."""
    order = [workspaces.Ordering(workspaces.Summary(best_name("val/accuracy")), ascending=False)]
    filters = {"filters": workspaces.And(workspaces.Metric("Group") == group)} if group else {}
    title = f"{name}, {group}" if group else name
    return workspaces.Workspace(
        entity=entity, project=project, name=title, sections=sections,
        settings=workspaces.WorkspaceSettings(max_runs=100),
        runset_settings=workspaces.RunsetSettings(order=order, pinned_columns=columns, **filters),
    )  # fmt: skip


def overview(sweep: SweepResults, entity: str, project: str, group: str) -> workspaces.Workspace:
    """Return the view of all trials.

    Args:
        sweep: The sweep.
        entity: W&B user or team.
        project: W&B project.
        group: W&B group of the sweep's runs.
    """
    keys = list(dict.fromkeys(key for trial in sweep.trials for key in parameters_of(trial)))
    target = best_name(sweep.objective)
    columns = [reports.Config(f"trial.{key.replace('.', '/')}") for key in keys]
    axes: list[reports.Config | reports.SummaryMetric] = [*columns, reports.SummaryMetric(target)]
    panels: list[Any] = [
        reports.ParallelCoordinatesPlot(
            title="All parameters together",
            columns=[reports.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes],
            layout=reports.Layout(w=24, h=8),
        ),
        reports.ParameterImportancePlot(with_respect_to=target, layout=reports.Layout(y=8, w=10, h=8)),
        reports.LinePlot(
            title="Learning curves", x=STEP, y=[sweep.objective], title_y=sweep.objective,
            layout=reports.Layout(x=10, y=8, w=14, h=8), max_runs_to_show=100,
        ),
    ]  # fmt: skip
    table = ["run:displayName", "summary:status", f"summary:{target}", "run:tags"]
    table += [f"config:trial.{key.replace('.', '/')}" for key in keys]
    order = [workspaces.Ordering(workspaces.Summary(target), ascending=sweep.sign < 0)]
    return workspaces.Workspace(
        entity=entity, project=project, name=f"Sweep {sweep.name}",
        sections=[workspaces.Section(name="Search", panels=panels, is_open=True)],
        settings=workspaces.WorkspaceSettings(max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            filters=workspaces.And(workspaces.Metric("Group") == group),
            order=order,
            pinned_columns=table,
        ),
    )  # fmt: skip


def best(sweep: SweepResults, entity: str, project: str, group: str) -> workspaces.Workspace:
    """Return the view of the best trial: its confusion matrix, as a chart and as images, and its curves.

    Args:
        sweep: The sweep.
        entity: W&B user or team.
        project: W&B project.
        group: W&B group of the sweep's runs.
    """
    panels: list[Any] = [
        reports.MediaBrowser(
            title="Confusion matrix (validation, selection split)", media_keys=["plots/confusion_matrix"],
            layout=reports.Layout(w=12, h=12),
        ),
        reports.LinePlot(
            title="Losses", x=STEP, y=["train/loss", "val/loss"], layout=reports.Layout(x=12, w=12, h=6)
        ),
        reports.LinePlot(
            title=sweep.objective, x=STEP, y=[sweep.objective], layout=reports.Layout(x=12, y=6, w=12, h=6)
        ),
    ]  # fmt: skip
    best_filter = workspaces.And(
        workspaces.Metric("Group") == group,
        workspaces.Summary("sweep/best") == True,  # noqa: E712
    )
    return workspaces.Workspace(
        entity=entity, project=project, name=f"Sweep {sweep.name}, the best",
        sections=[workspaces.Section(name="The best trial", panels=panels, is_open=True)],
        runset_settings=workspaces.RunsetSettings(filters=best_filter),
    )  # fmt: skip


def specification(view: workspaces.Workspace) -> dict[str, Any]:
    """Return the JSON that would be sent to W&B."""
    model: dict[str, Any] = view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return model


def save(view: workspaces.Workspace) -> None:
    """Save a view, and print its URL.

    Raises:
        FerError: No user is logged in, or W&B does not accept it.
    """
    try:
        view.save()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FerError(
            f"{view.entity}/{view.project}: W&B did not accept the view {view.name!r}: {reason} Log in with "
            "'wandb login', and give a user or team with write access; --dry-run prints the view."
        ) from error
    print(view.url)


if __name__ == "__main__":
    main()
