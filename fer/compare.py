"""fer-compare: which of several trained models is better on the same images, and whether that is chance."""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.cli import run_and_explain
from fer.errors import FerError, did_you_mean

if TYPE_CHECKING:  # they load torch
    from fer.analysis.comparison import Comparison, Entrant
    from fer.evaluating.contenders import Contender

METRICS = ("accuracy", "macro_f1", "uar", "log_loss")
SPEED = {True: "images/s", False: "images/s in training"}
_RUN_NAME = re.compile(r"(?:\d\d-\d\d-\d\d_)?(?P<stem>.+)_s(?P<seed>\d+)_(?P<tag>[0-9a-f]{4})")


def main(words: Sequence[str] | None = None) -> None:
    """Compare the runs of the command line, and exit with its status."""
    arguments = _parser().parse_args(words)
    sys.exit(run_and_explain(lambda: run(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fer-compare", description=__doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folder or .ckpt file; seeds of one recipe count as one")
    add("--split", default="val", help="train, val, test or all (default: val)")
    add("--path", help="where the data of the runs lies now")
    add("--metric", default="accuracy", help=f"{', '.join(METRICS)} (default: accuracy)")
    add("--output", type=Path, help="folder of the report (default: OUTPUTS/compare/TIME_SPLIT)")
    add("--no-speed", action="store_true", help="do not measure speed; show that of training")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Score what has no predictions yet, compare, print and write the report.

    Raises:
        FerError: A run cannot be scored, or the runs cannot be compared.
    """
    _check(arguments)
    from fer.evaluating.check_seeds import check_seeds
    from fer.evaluating.contenders import distinct, earlier_scores, enter_test_scores, gather
    from fer.evaluating.report_place import check_place

    if arguments.output:
        check_place(arguments.output)
    contenders, notes = distinct(
        gather(arguments.runs, arguments.split, arguments.path, not arguments.no_speed)
    )
    if _by_recipe(contenders):
        check_seeds((one.training, one["seed"], one["checkpoint"]) for one in contenders)
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{arguments.split}"
    folder = check_place(arguments.output or contenders[0].outputs / "compare" / now)
    notes += earlier_scores(contenders)
    enter_test_scores(contenders)
    notes += _notes(contenders)
    report(contenders, arguments.metric, SPEED[not arguments.no_speed], notes, folder)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.metric not in METRICS:
        hint = did_you_mean(arguments.metric, METRICS)
        raise FerError(f"--metric {arguments.metric}: expected one of {', '.join(METRICS)}.{hint}")
    if len(arguments.runs) < 2:
        raise FerError(f"fer-compare: expected two runs or more, got {arguments.runs[0]} alone.")


def report(
    contenders: "Sequence[Contender]", metric: str, speed: str, notes: list[str], folder: Path
) -> None:
    """Compare under every set of labels, print the tables and write ``index.html`` and the other files."""
    from fer.analysis.common_images import line_up, pixels_of
    from fer.analysis.comparison import compare
    from fer.analysis.comparison_section import section
    from fer.analysis.report import write_report
    from fer.evaluating.image_keys import image_keys
    from fer.evaluating.recipes import sentence, table

    tables = [one.predictions for one in contenders]
    is_same = len({pixels_of(table) for table in tables}) == 1
    truths = line_up(tables, None if is_same else image_keys(contenders))
    entrants = enter(contenders)
    recipes = {entrant.name: contenders[entrant.members[0]].recipe for entrant in entrants}
    notes = [*notes, sentence(recipes)] if _by_recipe(contenders) else notes
    sections = []
    for number, truth in enumerate(truths, 1):
        found = compare(truth, entrants, metric)
        key = "compare" if number == 1 else f"compare_{number}"
        chapter = section(key, found, truth, speed, notes)
        chapter.tables.extend([table(recipes)] if _by_recipe(contenders) else [])
        sections.append(chapter)
        _show(found, truth.name, sections[-1].words)
    about = {key: contenders[0][key] for key in ("data", "split", "role")}
    title = f"{len(entrants)} {'recipes' if _by_recipe(contenders) else 'runs'} compared"
    page = write_report(
        folder, sections, title, {**about, "run": ", ".join(one["run"] for one in contenders)}
    )
    print(f"report   {page}")


def enter(contenders: "Sequence[Contender]") -> "list[Entrant]":
    """Put the seeds of a recipe together; where all runs are of one recipe, each stands for itself."""
    from fer.analysis.comparison import Entrant

    groups: dict[Any, list[int]] = {}
    for position, one in enumerate(contenders):
        groups.setdefault(one.training if _by_recipe(contenders) else position, []).append(position)
    names = unique_names([contenders[members[0]] for members in groups.values()])
    entrants = []
    for name, members in zip(names, groups.values(), strict=True):
        group = [contenders[i] for i in members]
        entrants.append(
            Entrant(
                name=name,
                members=tuple(members),
                runs=tuple(one["run"] for one in group),
                parameters=group[0]["parameters"],
                megabytes=group[0].megabytes,
                images_per_second=_mean(one.speed or one.record.get("images_per_second") for one in group),
                fit_seconds=_mean(one.record.get("fit_seconds") for one in group),
            )
        )
    return entrants


def _by_recipe(contenders: "Sequence[Contender]") -> bool:
    return len({one.training for one in contenders}) > 1


def unique_names(leaders: "Sequence[Contender]") -> list[str]:
    """Return a short name for each that no other has: its experiment, else with tag, checkpoint or place."""
    names = [_stem(one["run"]) for one in leaders]
    for longer in (_tagged, _with_checkpoint, _whole):
        names = [longer(one) if names.count(name) > 1 else name
                 for name, one in zip(names, leaders, strict=True)]  # fmt: skip
    return names


def _stem(run: str) -> str:
    found = _RUN_NAME.fullmatch(run)
    return found["stem"] if found else run


def _tagged(one: "Contender") -> str:
    found = _RUN_NAME.fullmatch(one["run"])
    return f"{found['stem']} {found['tag']}" if found else str(one["run"])


def _with_checkpoint(one: "Contender") -> str:
    return f"{_tagged(one)} {Path(str(one['checkpoint'])).stem}"


def _whole(one: "Contender") -> str:
    return str(one["checkpoint"])


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


SELECTION = "These validation images chose each run's checkpoint, so all figures flatter a little."
ONE_RECIPE = "The runs differ in the seed alone: a difference between them is the chance of training."
ONE_TRAINING = "These are checkpoints of one recipe, some of them of one seed: a difference is one of epochs."
TRAINED_ON = "Images that the models were trained on are among these: such figures say nothing of others."
OTHER_TRAINING = "The recipes were not trained on the same images: a difference may be theirs."
OTHER_IMAGES = "The {} images are not those that {} had when it was trained."
OTHER_CODE = (
    "{} scores {:.1%} here and {:.1%} in its run.json: its network is built by other code than it was."
)
_CONTENT = ("pixels_sha256", "files_sha256")  # of a manifest: what images in memory and on disk are known by
_NEAR = 0.002  # of an accuracy: half precision and another batch size move seven of FER2013's images at most


def _notes(contenders: "Sequence[Contender]") -> list[str]:
    """Say what the split is worth, how runs were grouped, and what changed since a training."""
    role = contenders[0]["role"]
    notes = [SELECTION] if role == "val" else []
    notes += [TRAINED_ON] if role in ("train", "all") else []
    seeds = [one["seed"] for one in contenders]
    if not _by_recipe(contenders):
        notes.append(ONE_RECIPE if len(set(seeds)) == len(seeds) else ONE_TRAINING)
    elif len({one.training[1:] for one in contenders}) > 1:
        notes.append(OTHER_TRAINING)
    for one in contenders:
        part, best = one["trained_on"]["splits"].get(role, {}), one.record.get("best") or {}
        now = one["manifest"]
        is_changed = any(part[key] != now[key] for key in _CONTENT if key in part and key in now)
        score, before = one.accuracy, best.get("val/accuracy", one.accuracy)
        if is_changed:
            notes.append(OTHER_IMAGES.format(role, one["run"]))
        elif role == "val" and best.get("epoch") == one["epoch"] and abs(score - before) > _NEAR:
            notes.append(OTHER_CODE.format(one["run"], score, before))
    return notes


def _show(found: "Comparison", labels: str, words: Sequence[str]) -> None:
    """Print the table and the words."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Column, Table

    from fer.analysis.comparison_section import TITLES, shown

    metrics = (found.metric, *(name for name in ("accuracy", "macro_f1") if name != found.metric))
    columns = ("seeds", *(TITLES[metric] for metric in metrics), "parameters", "images/s")
    table = Table("", *(Column(name, justify="right") for name in columns), box=SIMPLE)
    for entrant, figures in zip(found.entrants, found.figures, strict=True):
        speed = f"{entrant.images_per_second:,.0f}" if entrant.images_per_second else "-"
        cells = [shown(metric, figures[metric]) for metric in metrics]
        table.add_row(entrant.name, str(len(entrant.members)), *cells, f"{entrant.parameters:,}", speed)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.width = max(console.width, 110)  # a table that is piped to a file or is too wide is not broken
    console.print(f"\n{found.images:,} images, labels of {labels}")
    console.print(table)
    console.print(*words, sep="\n")


if __name__ == "__main__":
    main()
