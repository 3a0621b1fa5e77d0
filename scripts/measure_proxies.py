"""Does a cheap training put recipes in the order of the whole one? Rank correlation of each proxy.

    uv run python scripts/measure_proxies.py $HOME/data/fer2013.csv [--sweep optimizers] [--recipes 12]

Draws recipes at random from a sweep's space and trains each whole and under each `proxy=…` of conf/proxy, as
fer-train runs with the same seed. What is done is kept in OUTPUT/results_SWEEP.jsonl, so that the script may
be stopped and started again; a training that failed, or whose words were others, is done again. Prints, for
each proxy, Spearman's correlation of the best validation values with its 95 % interval (Bonett & Wright 2000,
https://doi.org/10.1007/BF02294183), what it costs beside the whole training, and by how many points the
proxy's favourite falls short of the best. A second whole training with another seed (`again`) shows what
another seed alone leaves of the order. Words after `--` go to every fer-train.
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

from fer.config_dir import CONFIG_DIR
from fer.sweep.compose import override, proxy_keys
from fer.sweep.space import parse_space, suggest

AGAIN = "again"


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="fer2013.csv")
    parser.add_argument("--sweep", default="optimizers", help="whose space recipes are drawn from")
    parser.add_argument("--recipes", type=int, default=12)
    parser.add_argument("--experiment", default="fer2013_quick")
    parser.add_argument("--proxies", nargs="+", default=known_proxies(), metavar="PROXY")
    parser.add_argument("--metric", default="val/accuracy")
    parser.add_argument("--output", type=Path, default=Path("outputs/proxies"))
    words, more = split_words(sys.argv[1:])
    options = parser.parse_args(words)
    results = options.output / f"results_{options.sweep}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    entries = {}
    recipes = draw_recipes(options.sweep, options.recipes)
    proxies = [kind for kind in options.proxies if is_cheaper(kind, recipes)]
    for number, recipe in enumerate(recipes):
        for kind in ("whole", *proxies, AGAIN):
            words = command(kind, [*recipe, *more], options)
            done = read(results).get(tuple(words))
            entries[number, kind] = done or train(number, kind, words, options.metric, results)
    print(table(entries, proxies, options.metric))


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words before and after ``--``."""
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def known_proxies() -> list[str]:
    """Return the options of conf/proxy."""
    return sorted(path.stem for path in (CONFIG_DIR / "proxy").glob("*.yaml"))


def is_cheaper(proxy: str, recipes: list[list[str]]) -> bool:
    """Return whether a proxy changes recipes, or these set themselves what it would set."""
    both = proxy_keys([f"proxy={proxy}"]) & {word.partition("=")[0] for recipe in recipes for word in recipe}
    if both:
        print(f"proxy={proxy} is left out: {', '.join(both)} is what the recipes differ in")
    return not both


def draw_recipes(sweep: str, number: int) -> list[list[str]]:
    """Return recipes as words of a command line, the same each time."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", [f"sweep={sweep}"])
    space = parse_space(OmegaConf.to_container(config.sweep.space))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = [suggest(study.ask(), space) for _ in range(number)]
    return [[override(key, value) for key, value in values.items()] for values in drawn]


def command(kind: str, recipe: list[str], options: argparse.Namespace) -> list[str]:
    """Return the words of fer-train for a recipe, whole, again, or under a proxy."""
    words = [f"experiment={options.experiment}", f"datamodule.path={options.data}"]
    words += [f"output_dir={options.output}", f"monitor={options.metric}", *recipe]
    return words + {"whole": [], AGAIN: ["seed=1"]}.get(kind, [f"proxy={kind}"])


def train(number: int, kind: str, words: list[str], metric: str, results: Path) -> dict[str, Any]:
    """Train once in a process of its own, and keep the result."""
    print(f"recipe {number}, {kind}: fer-train {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "fer.train", *words], capture_output=True, text=True)
    found = re.search(r"^run +(\S.*)$", done.stdout, re.MULTILINE)
    entry: dict[str, Any] = {"recipe": number, "kind": kind, "words": words, "value": None}
    if done.returncode or not found:
        print(f"failed; it takes no part.\n{done.stderr.strip()}", flush=True)
    else:
        record = json.loads((Path(found[1]) / "run.json").read_text())
        entry |= {"value": record["best"][metric], "seconds": record["fit_seconds"]}
    with results.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    return entry


def read(results: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return what has been done without failing, by the words of its command."""
    lines = results.read_text().splitlines() if results.exists() else []
    entries = map(json.loads, lines)
    return {tuple(entry["words"]): entry for entry in entries if entry["value"] is not None}


def table(entries: dict[tuple[int, str], dict[str, Any]], proxies: list[str], metric: str) -> str:
    """Return a line for each proxy."""
    head = "| proxy | recipes | rank correlation, 95 % | cost | favourite falls short, points |"
    lines = [head, "|---|---|---|---|---|"]
    for kind in (*proxies, AGAIN):
        pairs = [
            (entries[number, "whole"], entry)
            for (number, own), entry in sorted(entries.items())
            if own == kind and entry["value"] is not None and entries[number, "whole"]["value"] is not None
        ]
        lines.append(f"| {' | '.join([kind, str(len(pairs)), *cells(pairs, metric)])} |")
    return "\n".join(lines)


def cells(pairs: list[tuple[dict[str, Any], dict[str, Any]]], metric: str) -> Iterator[str]:
    """Yield correlation, cost and shortfall."""
    if len(pairs) < 2:
        yield from ("–", "–", "–")
        return
    sign = -1 if metric.endswith(("loss", "ece")) else 1
    whole, cheap = ([sign * pair[side]["value"] for pair in pairs] for side in (0, 1))
    yield correlation(whole, cheap)
    seconds = [statistics.fmean(pair[side]["seconds"] for pair in pairs) for side in (0, 1)]
    yield f"{seconds[1] / seconds[0]:.2f}"
    yield f"{100 * (max(whole) - whole[cheap.index(max(cheap))]):.1f}"


def correlation(a: list[float], b: list[float]) -> str:
    """Return Spearman's correlation with its interval: Fisher's z with Bonett and Wright's variance."""
    found = float(spearmanr(a, b).statistic)
    if not math.isfinite(found):
        return "–"
    if len(a) < 4 or abs(found) > 1 - 1e-9:
        return f"{found:.2f}"
    reach = float(norm.ppf(0.975)) * math.sqrt((1 + found**2 / 2) / (len(a) - 3))
    low, high = (math.tanh(math.atanh(found) + side * reach) for side in (-1, 1))
    return f"{found:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
