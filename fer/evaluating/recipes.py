"""In which options recipes differ, as a table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fer.analysis.section import Cell, Table

_ABSENT = "–"
_NAMED = 4  # in a sentence; the table has all


def differences(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all recipes.

    Args:
        recipes: Name -> nested options, as in a config.

    Returns:
        Dotted option -> its value in each recipe, in their order; ``"–"`` where a recipe has no such option.
    """
    flat = [dict(_flat(recipe)) for recipe in recipes.values()]
    options = dict.fromkeys(option for recipe in flat for option in recipe)
    values = {option: [recipe.get(option, _ABSENT) for recipe in flat] for option in options}
    return {option: found for option, found in values.items() if any(one != found[0] for one in found)}


def _flat(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in options.items():
        deeper = isinstance(value, Mapping) and value
        found += _flat(value, f"{prefix}{name}.") if deeper else [(f"{prefix}{name}", value)]
    return found


def table(recipes: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each option in which recipes differ, a column for each recipe."""
    rows: list[tuple[Cell, ...]] = [
        (option, *map(_shown, values)) for option, values in differences(recipes).items()
    ]
    return Table(("option", *recipes), rows, "What the recipes have not in common.")


def sentence(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the same in a sentence, of the first options."""
    found = differences(recipes)
    short = len(recipes) == 2  # of more, the values are in the table alone
    named = [
        f"{option} ({_join(recipes, values)})" if short else option
        for option, values in list(found.items())[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"The recipes differ in {', '.join(named)}{more}."


def _join(names: Iterable[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{name}: {_shown(value)}" for name, value in zip(names, values, strict=True))


def _shown(value: Any) -> str:
    """Write a value as a command line takes it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
