"""Write the tables of results into the documentation, from the files that record the measurements.

    uv run python scripts/result_tables.py

`docs/results.jsonl` has a line for each training run, `docs/robustness.jsonl` for each evaluation on
corrupted images, `docs/optimizers.jsonl` for each recipe that was trained again with new seeds and for each
search. `scripts/add_result.py` adds to the first two. Scores are fractions; `null`: the value was not kept.

A table replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import ablate
from field_tables import replaced, table
from scipy.stats import t as student_t

from fer.benchmark.report import markdown_table, table_rows
from fer.evaluation.corruptions import CORRUPTIONS, STRENGTHS

ROOT = Path(__file__).resolve().parent.parent
METRICS = ("accuracy", "macro_f1", "uar")
# A line of a data file.
Entry = dict[str, Any]
PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16", "16-mixed": "fp16"}
# Means over all corruptions in a line of robustness.jsonl.
ROBUSTNESS = ("mean_corruption_accuracy", "relative_loss", "mean_corruption_ece")
IN_README = ("experiment=fer2013_fast", "experiment=fer2013_10min", "experiment=fer2013_gpu")


def read(name: str) -> list[Entry]:
    """Return the lines of a data file of the documentation."""
    return [json.loads(line) for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()]


def percent(fraction: float) -> str:
    """Return a fraction in percent, without the sign."""
    return f"{100 * fraction:.1f}"


def estimate(values: Sequence[float]) -> str:
    """Return a value with its interval, in percent."""
    return f"{percent(values[0])} {interval(*values[1:])}"


def interval(low: float, high: float) -> str:
    """Return an interval in percent."""
    return f"[{percent(low)}, {percent(high)}]"


def recipes(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the lines of each recipe on each machine, in the order of the file."""
    rows: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        rows.setdefault((entry["recipe"], entry["machine"], entry["precision"]), []).append(entry)
    return list(rows.values())


def runs_of(row: list[Entry]) -> list[Entry]:
    """Return the lines of single runs; others have mean and deviation over the runs of these ``seeds``."""
    return [entry for entry in row if "seeds" not in entry]


def mean_and_deviation(row: list[Entry], metric: str) -> str:
    """Return them over the seeds of a row, in percent; empty if they are not known for these seeds."""
    values = [entry[metric] for entry in runs_of(row)]
    if None not in values:
        mean, deviation = statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None
    else:
        seeds = [entry["seed"] for entry in runs_of(row)]
        mean, deviation = next((entry[metric] for entry in row if entry.get("seeds") == seeds), (None, None))
    if mean is None:
        return ""
    return f"{percent(mean)} %" + ("" if deviation is None else f" ± {percent(deviation)}")


def t_interval(values: Sequence[float]) -> str:
    """Return the 95 % t-interval of the mean over seeds; empty for one seed."""
    if len(values) == 1:
        return ""
    mean = statistics.mean(values)
    half = student_t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return interval(mean - half, mean + half)


def fit(row: list[Entry]) -> str:
    """Return the mean duration of the fit, over the runs that were timed."""
    seconds = [entry["fit_seconds"] for entry in row if entry["fit_seconds"]]
    if not seconds:
        return ""
    mean = statistics.mean(seconds)
    return f"{mean:.0f} s" if mean < 1000 else f"{mean / 60:.0f} min"


def remarks(row: list[Entry]) -> str:
    """Return what else there is to know of the runs of a row."""
    stopped = [
        f"stopped after {entry['epochs']} of {entry['max_epochs']} epochs"
        for entry in runs_of(row)
        if entry["epochs"] < entry["max_epochs"]
    ]
    notes = [entry["note"] for entry in row if entry.get("note")]
    return "".join(f", {text}" for text in dict.fromkeys([*stopped, *notes]))


def results() -> str:
    """Return the table of all recipes."""
    head = ("recipe", "accuracy", "macro-F1", "UAR", "fit", "n")
    return table(head, map(result, recipes(read("results.jsonl"))))


def result(row: list[Entry]) -> tuple[str, ...]:
    """Return the cells of a recipe on one machine."""
    first, values = runs_of(row)[0], [entry["accuracy"] for entry in runs_of(row)]
    seeds = ", ".join(map(percent, values)) if len(values) > 1 else f"seed {first['seed']} only"
    accuracy, macro_f1, uar = (unbroken(mean_and_deviation(row, metric)) for metric in METRICS)
    precision = PRECISIONS.get(first["precision"], first["precision"])
    return (
        f"`{first['recipe']}`{remarks(row)}",
        f"**{accuracy}** {unbroken(t_interval(values))}".rstrip() + f"<br>{unbroken(seeds)}",
        macro_f1,
        uar,
        unbroken(f"{fit(row)}<br>{first['machine']}, {precision}"),
        f"{first['n']:,}",
    )


def unbroken(text: str) -> str:
    """Return a text that stays on one line of a cell."""
    return text.replace(" ", "&nbsp;")


def readme() -> str:
    """Return the table of the recipes that README names."""
    known = {row[0]["recipe"]: row for row in reversed(recipes(read("results.jsonl")))}
    rows = []
    for row in map(known.__getitem__, IN_README):
        over = f" over {len(runs_of(row))} seeds" if len(runs_of(row)) > 1 else ", one seed"
        accuracy, macro_f1 = (mean_and_deviation(row, metric) for metric in METRICS[:2])
        timed = f"{fit(row)}, {row[0]['machine']}"
        rows.append((f"`{row[0]['recipe']}`", timed, accuracy + over, macro_f1.split(" ±")[0]))
    return table(("recipe", "fit", "accuracy", "macro-F1"), rows)


def confirmed() -> str:
    """Return the table of recipes that were trained again with new seeds."""
    rows = (
        (
            entry["title"],
            f"{percent(entry['search'])} %" if entry["search"] else "not searched",
            estimate(entry["estimate"]).replace(" [", " % ["),
            ", ".join(map(percent, entry["accuracy"])),
        )
        for entry in read("optimizers.jsonl")
        if "accuracy" in entry
    )
    return table(("recipe, six epochs", "in the search", "mean of three seeds", "each seed"), rows)


def searches() -> str:
    """Return the table of searches."""
    head = ("search", "finished", "pruned", "image passes, relative to the same trials without pruning")
    rows = []
    for entry in read("optimizers.jsonl"):
        if "finished" in entry:
            passes = f"{100 * entry['passes']:.0f} %{entry['note']}"
            rows.append((entry["title"], str(entry["finished"]), str(entry["pruned"]), passes))
    return table(head, rows)


def robustness(name: str, digits: int = 1) -> str:
    """Return the accuracy of a model at each strength of each corruption, and means."""
    entry = evaluation(name)
    rows = []
    for key, corruption in CORRUPTIONS.items():
        part = entry["corruptions"][key]
        cells = [f"{100 * at['accuracy'][0]:.{digits}f}" for at in part["strengths"].values()]
        means = (estimate(part[metric]) for metric in ("accuracy", "relative_loss", "ece"))
        rows.append((in_lower_case(corruption.title), *cells, *means))
    strengths = entry["strengths"].values()
    means = [estimate(entry[key]) for key in ROBUSTNESS]
    rows.append(("mean", *(percent(at["accuracy"][0]) for at in strengths), *means))
    rows.append(("relative loss", *(percent(at["relative_loss"][0]) for at in strengths), "", means[1], ""))
    return aligned(("corruption", *map(str, STRENGTHS), "mean", "relative loss", "ECE, mean"), rows)


def robust_training() -> str:
    """Return the scores with and without blur and noise in training, mostly at strength 3."""
    pair = [evaluation("quick_6_epochs"), evaluation("quick_6_epochs_blur_noise")]
    rows = [("without corruption", *(percent(entry["accuracy"][0]) for entry in pair))]
    for key, corruption in CORRUPTIONS.items():
        cells = (percent(entry["corruptions"][key]["strengths"]["3"]["accuracy"][0]) for entry in pair)
        rows.append((in_lower_case(corruption.title), *cells))
    for title, key in (
        ("relative loss at strength 3", "relative_loss_middle"),
        ("mean over all strengths", "mean_corruption_accuracy"),
        ("relative loss over all strengths", "relative_loss"),
        ("ECE, mean over all strengths", "mean_corruption_ece"),
    ):
        rows.append((title, *(estimate(entry[key]) for entry in pair)))
    return aligned(("", "`light`", "with blur and noise"), rows)


def robust_models() -> str:
    """Return the means of all evaluations on corrupted images."""
    rows = []
    for entry in read("robustness.jsonl"):
        scores = [estimate(values) for values in (entry["accuracy"], *map(entry.get, ROBUSTNESS))]
        images = f"{entry['on']}, " + unbroken(f"n = {entry['images']:,}")
        rows.append((f"`{entry['name']}`", images, *map(unbroken, scores)))
    head = ("model", "images", "without corruption", "mean", "relative loss", "ECE, mean")
    return aligned(head, rows)


def evaluation(name: str) -> Entry:
    """Return the line of an evaluation on corrupted images."""
    return next(entry for entry in read("robustness.jsonl") if entry["name"] == name)


def in_lower_case(title: str) -> str:
    """Return the title of a corruption in lower case, except for an abbreviation."""
    return title if title.isupper() else title.lower()


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns are aligned to the right, except for the first."""
    return table(head, rows).replace("--- |", "---: |").replace("---: |", "--- |", 1)


def speed() -> str:
    """Return the table of `fer-benchmark --json`."""
    return markdown_table(table_rows(json.loads((ROOT / "docs/speed.json").read_text(encoding="utf-8"))))


# Mark -> page, and what gives the table.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "results": ("docs/results.md", results),
    "results-in-short": ("README.md", readme),
    "confirmed": ("docs/optimizers.md", confirmed),
    "searches": ("docs/optimizers.md", searches),
    "robustness-models": ("docs/robustness.md", robust_models),
    "robustness-faces": ("docs/robustness.md", lambda: robustness("fer2013")),
    "robustness-photographs": ("docs/robustness.md", lambda: robustness("fer2013_photographs", digits=0)),
    "robustness-training": ("docs/robustness.md", robust_training),
    "speed": ("docs/speed.md", speed),
    "table": ("docs/methods.md", lambda: ablate.render(read("methods.jsonl"))),
}


def filled(page: str, text: str) -> str:
    """Return the text of a page, a path below the repository, with its tables."""
    for name, (where, render) in TABLES.items():
        if where == page:
            text = replaced(text, name, render())
    return text


def write_pages() -> None:
    """Write all tables."""
    for page in dict.fromkeys(page for page, _ in TABLES.values()):
        path = ROOT / page
        path.write_text(filled(page, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    write_pages()
