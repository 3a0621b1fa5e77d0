"""The recipes of compared runs: their names, and the options in which they differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.report.document import Cell, Table
from fer.core.config import flatten
from fer.evaluation.compared_runs import ComparedRun
from fer.training.run_folder import RUN_NAME

# Value of an option that a recipe does not have
_MISSING = "–"
# Maximum number of options in the sentence on recipes; the table has all of them
_MAX_OPTIONS = 4
# Maximum number of options in a name, and its maximum length
_MAX_OPTIONS_IN_NAME, _MAX_NAME = 2, 48


def has_several_recipes(runs: Sequence[ComparedRun]) -> bool:
    """Return whether the runs are not all of one recipe."""
    return len({one.training_key for one in runs}) > 1


def unique_names(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a short, unique name for each run: its experiment, if needed with what tells it apart.

    That is the seed for runs of one recipe, otherwise one or two options; and if these do not suffice, the
    tag of the run folder or the path of the checkpoint.
    """
    matches = [RUN_NAME.fullmatch(one.about.run) for one in runs]
    pairs = list(zip(runs, matches, strict=True))
    names = [match["stem"] if match else one.about.run for one, match in pairs]
    tagged = [f"{match['stem']} {match['tag']}" if match else one.about.run for one, match in pairs]
    paths = [one.about.checkpoint for one in runs]
    with_checkpoint = [f"{tag} {Path(path).stem}" for tag, path in zip(tagged, paths, strict=True)]
    seeded = [f"{name} seed {one.about.seed}" for one, name in zip(runs, names, strict=True)]
    # Seeds tell runs of one recipe apart, options tell recipes apart.
    first = _with_options(runs, names) if has_several_recipes(runs) else seeded
    for longer in (first, tagged, with_checkpoint, paths):
        names = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    return names


def _with_options(runs: Sequence[ComparedRun], names: Sequence[str]) -> list[str]:
    """Return each name with the options in which the recipes of this name differ, if these are few."""
    named = list(names)
    for name in set(names):
        group = [index for index, one in enumerate(names) if one == name]
        differences = recipe_differences({str(index): runs[index].recipe for index in group})
        if 0 < len(differences) <= _MAX_OPTIONS_IN_NAME:
            for position, index in enumerate(group):
                options = [f"{key.split('.')[-1]}={_format(v[position])}" for key, v in differences.items()]
                # A name that all runs have says nothing.
                prefix = f"{name} " if len(group) < len(names) else ""
                named[index] = prefix + " ".join(options)
    return [name if len(name) <= _MAX_NAME else short for name, short in zip(named, names, strict=True)]


def recipe_differences(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all recipes.

    Args:
        recipes: Name -> nested options, as in a config.

    Returns:
        Dotted option -> its value in each recipe, in their order; ``"–"`` if a recipe has no such option.
    """
    flat = [flatten(recipe) for recipe in recipes.values()]
    options = dict.fromkeys(option for recipe in flat for option in recipe)
    values = {option: [recipe.get(option, _MISSING) for recipe in flat] for option in options}
    return {
        option: by_recipe
        for option, by_recipe in values.items()
        if any(value != by_recipe[0] for value in by_recipe)
    }


def recipe_table(recipes: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each option in which recipes differ, a column for each recipe."""
    rows: list[tuple[Cell, ...]] = [
        (option, *map(_format, values)) for option, values in recipe_differences(recipes).items()
    ]
    return Table(("option", *recipes), rows, "Options in which the recipes differ.")


def recipe_sentence(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the first differences as a sentence, with their values if there are two recipes."""
    differences = recipe_differences(recipes)
    named = []
    for option, values in list(differences.items())[:_MAX_OPTIONS]:
        pairs = (f"{name}: {_format(value)}" for name, value in zip(recipes, values, strict=True))
        named.append(f"{option} ({', '.join(pairs)})" if len(recipes) == 2 else option)
    more = f" and {len(differences) - _MAX_OPTIONS} more" if len(differences) > _MAX_OPTIONS else ""
    return f"The recipes differ in {', '.join(named)}{more}."


def _format(value: Any) -> str:
    """Format a value as on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
