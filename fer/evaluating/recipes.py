"""The options in which recipes differ, as a table and as a sentence."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fer.analysis.section import Cell, Table

_MISSING = "–"
# Options in the sentence; the table has all of them
_MAX_OPTIONS = 4


def recipe_differences(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all recipes.

    Args:
        recipes: Name -> nested options, as in a config.

    Returns:
        Dotted option -> its value in each recipe, in their order; ``"–"`` if a recipe has no such option.
    """
    flat = [dict(_flatten(recipe)) for recipe in recipes.values()]
    options = dict.fromkeys(option for recipe in flat for option in recipe)
    values = {option: [recipe.get(option, _MISSING) for recipe in flat] for option in options}
    return {
        option: in_recipes
        for option, in_recipes in values.items()
        if any(value != in_recipes[0] for value in in_recipes)
    }


def _flatten(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in options.items():
        is_nested = isinstance(value, Mapping) and value
        pairs += _flatten(value, f"{prefix}{name}.") if is_nested else [(f"{prefix}{name}", value)]
    return pairs


def recipe_table(recipes: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each option in which recipes differ, a column for each recipe."""
    rows: list[tuple[Cell, ...]] = [
        (option, *map(_format, values)) for option, values in recipe_differences(recipes).items()
    ]
    return Table(("option", *recipes), rows, "Options in which the recipes differ.")


def recipe_sentence(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the first differences as a sentence; for two recipes with the values."""
    differences = recipe_differences(recipes)
    with_values = len(recipes) == 2
    named = [
        f"{option} ({_join(recipes, values)})" if with_values else option
        for option, values in list(differences.items())[:_MAX_OPTIONS]
    ]
    more = f" and {len(differences) - _MAX_OPTIONS} more" if len(differences) > _MAX_OPTIONS else ""
    return f"The recipes differ in {', '.join(named)}{more}."


def _join(names: Iterable[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{name}: {_format(value)}" for name, value in zip(names, values, strict=True))


def _format(value: Any) -> str:
    """Format a value as on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
