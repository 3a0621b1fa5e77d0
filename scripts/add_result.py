"""Add runs on FER2013, or a report with corrupted images, to the measurements of the documentation.

    uv run python scripts/add_result.py RUN_SEED_0 RUN_SEED_1 RUN_SEED_2 --machine "two Zen 4 cores"
    uv run python scripts/add_result.py RUN/report/val --name my_model     # after fer-evaluate --corruptions

A run becomes a line of `docs/results.jsonl`, a report a line of `docs/robustness.jsonl`. Then all tables are
written again (`scripts/result_tables.py`). Runs of one recipe on one machine make one row of the table.
"""

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

import result_tables
import yaml
from result_tables import METRICS, Entry

from fer.core.paths import atomic_write
from fer.training.run_record import read_record

# Overrides that say where a run is and how it is shown, not how it is trained.
NOT_OF_A_RECIPE = re.compile(
    r"(datamodule\.path|seed|threads|name|tags|logger|output_dir|trainer\.(precision|accelerator|devices)"
    r"|hydra\..*)="
)


def run_entry(folder: Path, machine: str | None = None, recipe: str | None = None) -> Entry:
    """Return the line of a run.

    Args:
        folder: Run folder.
        machine: What it was trained on; by default the device, or the number of cores.
        recipe: Overrides that give it; by default those of its command, without files and outputs.

    Raises:
        SystemExit: The folder has no run that was validated on PublicTest.
    """
    record = read_record(folder)
    split = record.manifest.get("splits", {}).get("val", {}).get("split")
    if not record.best or split != "PublicTest":
        found = f"validation on {split}" if record.best else "no run with metrics"
        raise SystemExit(f"{folder}: expected a run that was validated on PublicTest, got {found}.")
    cores = f"{(record.machine or {}).get('cpus', '?')} cores"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return {
        "recipe": recipe or recipe_of(record.command or ""),
        "seed": record.seed,
        **{name: round(record.best[f"val/{name}"], 7) for name in METRICS},
        "n": record.validation_images,
        "epochs": record.epochs,
        "max_epochs": config["trainer"]["max_epochs"],
        "fit_seconds": record.fit_seconds,
        "machine": machine or (cores if record.device == "cpu" else record.device),
        "precision": record.precision,
        "commit": record.commit,
        "source": f"run {record.id}",
    }


def recipe_of(command: str) -> str:
    """Return the overrides of a command that make its recipe, with RUN instead of the path of another run."""
    words = [word for word in shlex.split(command)[1:] if "=" in word and not NOT_OF_A_RECIPE.match(word)]
    words.sort(key=lambda word: not word.startswith("experiment="))
    return " ".join(re.sub(r"=.*[/\\].*", "=RUN", word) for word in words)


def report_entry(folder: Path, name: str) -> Entry:
    """Return the line of a report of ``fer-evaluate --corruptions``.

    Raises:
        SystemExit: The report is without corruptions.
    """
    report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if not report.get("robustness"):
        raise SystemExit(f"{folder}: expected a report of fer-evaluate --corruptions, got one without.")
    about = report["about"]
    faces, split = about.get("faces"), report["title"].split(": ")[-1]
    on = f"photographs, {faces['detector']}" if faces else split
    scores = {"accuracy": report["scores"]["accuracy"], **report["robustness"]}
    return {"name": name, "on": on, "model_sha256": about["model_sha256"], **short(scores)}


def short(part: Any) -> Any:
    """Return a part of a report with each estimate as ``[value, low, high]``."""
    if not isinstance(part, dict):
        return part
    if "value" in part:
        return [None if part[key] is None else round(part[key], 7) for key in ("value", "low", "high")]
    return {key: short(value) for key, value in part.items()}


def add(entry: Entry, name: str, *identities: tuple[str, ...]) -> None:
    """Add a line to a data file, in place of those that have the same values of all keys of an identity."""
    others = [
        line
        for line in result_tables.read(name)
        if not any(all(line.get(key) == entry[key] for key in keys) for keys in identities)
    ]
    lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in [*others, entry])
    with atomic_write(result_tables.ROOT / "docs" / name) as file:
        file.write("".join(lines).encode())


def main() -> None:
    """Add what the command line names, then write all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="run folder, or report folder"
    )
    parser.add_argument(
        "--machine", help="what the runs were trained on (default: device, or number of cores)"
    )
    parser.add_argument("--recipe", help="overrides of the runs (default: those of their commands)")
    parser.add_argument("--note", help="what else there is to know of the runs")
    parser.add_argument("--name", help="name of a report in the table (default: that of its folder)")
    options = parser.parse_args()
    note = {"note": options.note} if options.note else {}
    runs, reports = [], []
    for folder in options.folders:
        if (folder / "run.json").exists():
            runs.append(run_entry(folder, options.machine, options.recipe) | note)
        elif (folder / "metrics.json").exists():
            reports.append(report_entry(folder, options.name or folder.name))
        else:
            raise SystemExit(
                f"{folder}: expected run.json of a run or metrics.json of a report, got neither."
            )
    for run in runs:
        add(run, "results.jsonl", ("source",), ("recipe", "machine", "precision", "seed"))
    for report in reports:
        add(report, "robustness.jsonl", ("name",))
    result_tables.write_pages()


if __name__ == "__main__":
    main()
