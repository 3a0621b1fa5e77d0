"""The section on confirmed recipes: the selection bias of the search, and how the recipes compare."""

from collections.abc import Sequence

from fer.analysis.section import Cell, Section, Table
from fer.sweep_reporting.chapter import PageSection, without_empty_columns
from fer.sweep_reporting.confirming import Confirmation
from fer.sweep_reporting.flattery import SelectionBias, selection_bias
from fer.sweep_reporting.found import SweepResults
from fer.sweep_reporting.written import format_difference, format_value, unit

_METHOD = (
    "Selection bias: value in the search minus the mean over new seeds. Both are of the same validation "
    "images, so the chance of drawing these images affects both. The interval is a t-interval over seeds, "
    "with the variance pooled over the recipes."
)
_PROXY = "The search trained cheap proxies, so its values cannot be compared with these full trainings."


def confirmation_section(
    sweep: SweepResults, confirmations: Sequence[Confirmation], comparison: Section | None, error: str = ""
) -> PageSection:
    """Return the section.

    Args:
        sweep: The sweep.
        confirmations: Recipes with runs over new seeds, at least one.
        comparison: The paired comparison; None for a single recipe, or if it failed.
        error: Why it failed.
    """
    biases = selection_bias(
        [one.trial.value or 0.0 for one in confirmations], [one.values for one in confirmations], sweep.sign
    )
    paragraphs = [_PROXY] if sweep.is_proxy else [bias_sentence(sweep, confirmations[0], biases[0]), _METHOD]
    paragraphs += [f"The recipes could not be compared. {error}"] if error else []
    tables = [_table(sweep, confirmations, biases)]
    if comparison is not None:
        paragraphs += [text for text in comparison.paragraphs if text not in paragraphs]
        tables += [without_empty_columns(table) for table in comparison.tables]
    return PageSection("confirmed", "Confirmed over new seeds", paragraphs, tables=tables)


def bias_sentence(sweep: SweepResults, best: Confirmation, bias: SelectionBias) -> str:
    """Return a sentence on the selection bias of the best recipe.

    Args:
        sweep: The sweep.
        best: The first recipe in its ranking that has runs over new seeds.
        bias: Selection bias of that recipe.
    """
    conclusion = f"{_conclusion(sweep, best, bias)}."
    if bias.low is None:
        return f"{conclusion} One seed gives no interval; use --confirm 3 or more."
    if bias.low <= 0.0 <= (bias.high or 0.0):
        return f"{conclusion} The interval includes 0, so this may be chance."
    return conclusion


def _conclusion(sweep: SweepResults, best: Confirmation, bias: SelectionBias) -> str:
    seeds = "one new seed" if bias.seeds == 1 else f"{bias.seeds} new seeds"
    before, after = (format_value(sweep.objective, value) for value in (bias.searched, bias.mean))
    values = f"{before} in the search, {after} over {seeds}"
    difference = f"{_with_interval(sweep, bias)}{unit(sweep.objective)}"
    if bias.value > 0.0:
        return f"Selection bias of {_name(sweep, best)}: {difference} ({values})"
    return f"There was no selection bias in {_name(sweep, best)}: {values}, a difference of {difference}"


def _name(sweep: SweepResults, best: Confirmation) -> str:
    top = sweep.ranking[0].number
    if best.trial.number == top:
        return f"the best recipe, {best.name}"
    return f"the best confirmed recipe, {best.name} (trial {top} is better by now)"


def _with_interval(sweep: SweepResults, bias: SelectionBias) -> str:
    value = format_difference(sweep.objective, bias.value)
    if bias.low is None or bias.high is None:
        return value
    limits = (format_difference(sweep.objective, limit) for limit in (bias.low, bias.high))
    return f"{value} [{', '.join(limits)}]"


def _table(
    sweep: SweepResults, confirmations: Sequence[Confirmation], biases: Sequence[SelectionBias]
) -> Table:
    name = sweep.objective
    column = f"selection bias,{unit(name)}" if unit(name) else "selection bias"
    columns = ("recipe", "in the search", "over new seeds", "each seed", column)
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, format_value(name, one.trial.value), format_value(name, bias.mean),
            ", ".join(format_value(name, value).removesuffix(" %") for value in one.values),
            None if sweep.is_proxy else _with_interval(sweep, bias),
        )
        for one, bias in zip(confirmations, biases, strict=True)
    ]  # fmt: skip
    caption = f"{name}: the value that a recipe was selected by, and its mean over new seeds; 95 % intervals."
    return without_empty_columns(Table(columns, rows, caption))
