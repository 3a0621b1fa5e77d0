"""The values of a grid as parameters of its trials, for Optuna's plots: the study has overrides only."""

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from fer.sweep.leaderboard import words_of
from fer.training.grid import override_values

# Ratio of the largest to the smallest value from which an axis is logarithmic.
_LOG_RATIO = 20
# More different integers are an axis.
_MAX_TICKS = 8


def grid_values(trials: Sequence[FrozenTrial]) -> dict[str, list[object]]:
    """Return key -> its different values, in the order of the trials."""
    found: dict[str, list[object]] = {}
    for trial in trials:
        for key, value in _plain(words_of(trial)).items():
            values = found.setdefault(key, [])
            if value not in values:
                values.append(value)
    return found


def add_grid_parameters(trials: Sequence[FrozenTrial]) -> None:
    """Set the parameters and distributions of trials to their overrides, in place."""
    distributions = {key: _distribution(values) for key, values in grid_values(trials).items()}
    for trial in trials:
        plain = _plain(words_of(trial))
        trial.distributions = {key: distributions[key] for key in plain}
        trial.params = {
            key: float(str(value)) if isinstance(distributions[key], FloatDistribution) else value
            for key, value in plain.items()
        }


def _plain(words: Sequence[str]) -> dict[str, object]:
    """Return key -> value; lists and dicts, which are no parameters, as text."""
    values = override_values(words)
    return {
        key: value if value is None or isinstance(value, bool | int | float | str) else str(value)
        for key, value in values.items()
    }


def _distribution(values: Sequence[object]) -> BaseDistribution:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    # Two values are a comparison, more are an axis; a few integers, such as seeds, have a tick each.
    is_axis = len(numbers) >= max(3, len(values))
    if is_axis and len(numbers) <= _MAX_TICKS and all(isinstance(value, int) for value in numbers):
        return CategoricalDistribution(sorted(numbers))
    if not is_axis:
        return CategoricalDistribution(list(values))  # type: ignore[arg-type]
    low, high = float(min(numbers)), float(max(numbers))
    return FloatDistribution(low, high, log=low > 0 and high / low >= _LOG_RATIO)
