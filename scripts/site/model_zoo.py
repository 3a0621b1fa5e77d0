"""Results that were measured, from the files that record them."""

import json
from collections.abc import Mapping
from typing import Any

from repository_links import ROOT

ZOO = ROOT / "fer" / "zoo"
TITLES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR"}


def cards() -> dict[str, dict[str, Any]]:
    """Return the cards of the models of the package, the default first."""
    paths = sorted(ZOO.glob("*/card.json"), key=lambda path: (path.parent.name != "fer2013", path))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def landing_numbers() -> str:
    """Return three numbers of the default model with n and interval, for the first page."""
    val = cards()["fer2013"]["metrics"]["val"]
    numbers = [
        f'<div class="number"><b>{100 * val["figures"][name]["value"]:.1f} %</b> {title}'
        f"<small>95 % interval {_range(val['figures'][name])}, n = {val['n']:,}</small></div>"
        for name, title in TITLES.items()
    ]
    return '<div class="numbers" markdown="0">\n' + "\n".join(numbers) + "\n</div>"


def zoo_table() -> str:
    """Return the models of the package side by side."""
    rows = []
    for name, card in cards().items():
        val, model = card["metrics"]["val"], card["model"]
        scores = [
            f"{100 * val['figures'][key]['value']:.1f} %<br>{_range(val['figures'][key])}" for key in TITLES
        ]
        rows.append((
            f"`{name}`", f"{model['architecture']}, {card['precision']}",
            f"{model['parameters'] / 1e6:.1f} M", f"{model['bytes'] / 1e6:.1f} MB", *scores,
            f"{val['n']:,}", f"{100 * card['abstain_below']:.0f} %",
        ))  # fmt: skip
    head = ("model", "network", "parameters", "size", *TITLES.values(), "n", "uncertain below")
    return _table(head, rows)


def zoo_emotions() -> str:
    """Return recall and precision of each emotion for each model of the package."""
    parts = []
    for name, card in cards().items():
        figures = card["metrics"]["val"]["figures"]
        rows = [
            (emotion, *(_percent(figures.get(f"{key}/{emotion}")) for key in ("recall", "precision", "f1")))
            for emotion in card["labels"]["names"]
        ]
        table = _table(("emotion", "recall", "precision", "F1"), rows)
        parts.append(f"### `{name}`\n\n{table}")
    return "\n\n".join(parts)


def _percent(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{100 * figure['value']:.0f} % {_range(figure, 0)}"


def _range(figure: Mapping[str, float], digits: int = 1) -> str:
    return f"[{100 * figure['low']:.{digits}f},&nbsp;{100 * figure['high']:.{digits}f}]"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
