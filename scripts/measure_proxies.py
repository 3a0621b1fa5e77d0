"""Measure whether a proxy ranks recipes like the full training: rank correlation for each proxy.

    uv run python scripts/measure_proxies.py $HOME/data/fer2013.csv [--sweep optimizers] [--recipes 12]

Samples recipes from a sweep's space and trains each in full and with each `proxy=…` of conf/proxy, as
fer-train runs with the same seed. Results are kept in OUTPUT/results_SWEEP.jsonl, so the script can be
stopped and started again; trainings that failed or had other overrides are run again. Prints, for each proxy,
Spearman's rank correlation of the best validation values with its 95 % interval (Bonett & Wright 2000,
https://doi.org/10.1007/BF02294183), its cost relative to the full training, and by how many points the recipe
that the proxy ranks first is worse than the best. A second full training with another seed (`again`) shows
the effect of the seed on the ranking. Overrides after `--` are passed to every fer-train.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import optuna
from omegaconf import OmegaConf
from scipy.stats import norm, spearmanr

from fer.core.paths import CONFIG_DIR
from fer.sweep.compose import format_override, proxy_keys
from fer.sweep.space import parse_space, suggest

# Kinds of training in the results file, besides the proxies: in full, and in full with another seed.
FULL, AGAIN = "whole", "again"


def main() -> None:
    """Run the missing trainings, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="fer2013.csv")
    parser.add_argument(
        "--sweep", default="optimizers", help="sweep whose space the recipes are sampled from"
    )
    parser.add_argument("--recipes", type=int, default=12)
    parser.add_argument("--experiment", default="fer2013_quick")
    parser.add_argument("--proxies", nargs="+", default=known_proxies(), metavar="PROXY")
    parser.add_argument("--metric", default="val/accuracy")
    parser.add_argument("--output", type=Path, default=Path("outputs/proxies"))
    arguments, more = split_arguments(sys.argv[1:])
    options = parser.parse_args(arguments)
    results = options.output / f"results_{options.sweep}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    entries = {}
    recipes = sample_recipes(options.sweep, options.recipes)
    proxies = [kind for kind in options.proxies if is_cheaper(kind, recipes)]
    for number, recipe in enumerate(recipes):
        for kind in (FULL, *proxies, AGAIN):
            overrides = fer_train_overrides(kind, [*recipe, *more], options)
            done = read(results).get(tuple(overrides))
            entries[number, kind] = done or train(number, kind, overrides, options.metric, results)
    print(table(entries, proxies, options.metric))


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before and after ``--``."""
    index = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:index], arguments[index + 1 :]


def known_proxies() -> list[str]:
    """Return the options of conf/proxy."""
    return sorted(path.stem for path in (CONFIG_DIR / "proxy").glob("*.yaml"))


def is_cheaper(proxy: str, recipes: list[list[str]]) -> bool:
    """Return whether a proxy makes the recipes cheaper, and does not set a key that they search."""
    shared = proxy_keys([f"proxy={proxy}"]) & {
        item.partition("=")[0] for recipe in recipes for item in recipe
    }
    if shared:
        print(f"proxy={proxy} is skipped: the recipes differ in {', '.join(shared)}")
    return not shared


def sample_recipes(sweep: str, number: int) -> list[list[str]]:
    """Return recipes as lists of overrides, the same ones every time."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", [f"sweep={sweep}"])
    space = parse_space(OmegaConf.to_container(config.sweep.space))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    sampled = [suggest(study.ask(), space) for _ in range(number)]
    return [[format_override(key, value) for key, value in values.items()] for values in sampled]


def fer_train_overrides(kind: str, recipe: list[str], options: argparse.Namespace) -> list[str]:
    """Return the overrides of fer-train for a recipe: in full, again with another seed, or with a proxy."""
    overrides = [f"experiment={options.experiment}", f"datamodule.path={options.data}"]
    overrides += [f"output_dir={options.output}", f"monitor={options.metric}", *recipe]
    return overrides + {FULL: [], AGAIN: ["seed=1"]}.get(kind, [f"proxy={kind}"])


def train(number: int, kind: str, overrides: list[str], metric: str, results: Path) -> dict[str, Any]:
    """Train once in a separate process, and store the result."""
    print(f"recipe {number}, {kind}: fer-train {' '.join(overrides)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "fer.training.cli", *overrides], capture_output=True, text=True
    )
    match = re.search(r"^run +(\S.*)$", done.stdout, re.MULTILINE)
    entry: dict[str, Any] = {"recipe": number, "kind": kind, "words": overrides, "value": None}
    if done.returncode or not match:
        print(f"failed, so this training is left out.\n{done.stderr.strip()}", flush=True)
    else:
        record = json.loads((Path(match[1]) / "run.json").read_text())
        entry |= {"value": record["best"][metric], "seconds": record["fit_seconds"]}
    with results.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    return entry


def read(results: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the successful trainings of a results file, by their overrides."""
    lines = results.read_text().splitlines() if results.exists() else []
    entries = map(json.loads, lines)
    return {tuple(entry["words"]): entry for entry in entries if entry["value"] is not None}


def table(entries: dict[tuple[int, str], dict[str, Any]], proxies: list[str], metric: str) -> str:
    """Return a Markdown table with a row for each proxy."""
    head = "| proxy | recipes | rank correlation, 95 % | cost | shortfall of its best, points |"
    lines = [head, "|---|---|---|---|---|"]
    for kind in (*proxies, AGAIN):
        pairs = [
            (entries[number, FULL], entry)
            for (number, entry_kind), entry in sorted(entries.items())
            if entry_kind == kind
            and entry["value"] is not None
            and entries[number, FULL]["value"] is not None
        ]
        lines.append(f"| {' | '.join([kind, str(len(pairs)), *cells(pairs, metric)])} |")
    return "\n".join(lines)


def cells(pairs: list[tuple[dict[str, Any], dict[str, Any]]], metric: str) -> Iterator[str]:
    """Yield correlation, cost and shortfall."""
    if len(pairs) < 2:
        yield from ("–", "–", "–")
        return
    sign = -1 if metric.endswith(("loss", "ece")) else 1
    full, proxy = ([sign * pair[side]["value"] for pair in pairs] for side in (0, 1))
    yield correlation(full, proxy)
    seconds = [statistics.fmean(pair[side]["seconds"] for pair in pairs) for side in (0, 1)]
    yield f"{seconds[1] / seconds[0]:.2f}"
    yield f"{100 * (max(full) - full[proxy.index(max(proxy))]):.1f}"


def correlation(a: list[float], b: list[float]) -> str:
    """Return Spearman's correlation with its interval: Fisher's z with Bonett and Wright's variance."""
    rho = float(spearmanr(a, b).statistic)
    if not math.isfinite(rho):
        return "–"
    if len(a) < 4 or abs(rho) > 1 - 1e-9:
        return f"{rho:.2f}"
    half_width = float(norm.ppf(0.975)) * math.sqrt((1 + rho**2 / 2) / (len(a) - 3))
    low, high = (math.tanh(math.atanh(rho) + sign * half_width) for sign in (-1, 1))
    return f"{rho:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
