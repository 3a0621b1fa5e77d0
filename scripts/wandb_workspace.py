"""Build the W&B dashboard of a sweep: all trials, parameter importance, and the best confusion matrix.

    uv run python scripts/wandb_workspace.py outputs/multirun/optimizers --entity ME [--dry-run]

Two saved views of the project: one of all trials (runs table, parallel coordinates, parameter importance,
learning curves), and one of the best trial, which is tagged when the sweep ends. The sweep must have been run
with logger=wandb, and its runs uploaded (`wandb sync`). Saving needs an account with write access to the
project; `--dry-run` prints what would be saved, and needs neither account nor network.
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
from fer.sweep.report.results import SweepResults, load_sweep, parameters_of

STEP = "trainer/global_step"


def main() -> None:
    """Save the views, or print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the sweep: outputs/multirun/NAME")
    parser.add_argument(
        "--storage", help="sweep.storage of the sweep (default: the address saved in its folder)"
    )
    parser.add_argument("--name", help="sweep.name of the sweep (default: the name of its folder)")
    parser.add_argument("--entity", required=True, help="W&B user or team")
    project = os.environ.get("WANDB_PROJECT", "fer")
    parser.add_argument("--project", default=project, help=f"W&B project (default: {project})")
    parser.add_argument("--group", help="logger.wandb.group of the sweep, if any (default: its name)")
    parser.add_argument("--dry-run", action="store_true", help="print the views as JSON")
    options = parser.parse_args()
    sys.exit(run_command(lambda: run(options)))


def run(options: argparse.Namespace) -> None:
    """Build both views; save or print them.

    Raises:
        FerError: There is no such sweep, or W&B does not accept the views.
    """
    sweep = load_sweep(options.folder, options.storage, options.name)
    target = options.entity, options.project, options.group or sweep.name
    views = [overview(sweep, *target), best(sweep, *target)]
    if options.dry_run:
        print(json.dumps([specification(view) for view in views], indent=1))
        return
    for view in views:
        save(view)


def overview(sweep: SweepResults, entity: str, project: str, group: str) -> workspaces.Workspace:
    """Return the view of all trials.

    Args:
        sweep: The sweep.
        entity: W&B user or team.
        project: W&B project.
        group: W&B group of the sweep's runs.
    """
    keys = list(dict.fromkeys(key for trial in sweep.trials for key in parameters_of(trial)))
    target = f"best/{sweep.objective.removeprefix('val/')}"
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
            title="Confusion matrix (validation, selection split)", media_keys=["val/confusion_picture"],
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
