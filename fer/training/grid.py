"""A plain grid: overrides with several values, as in ``optimizer=adam,sgd seed=0,1``, and their combinations.

The values are read by Hydra's own parser: ``a,b``, ``choice(…)``, ``range(…)`` and ``glob(…)``.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, ValueType

from fer.core.errors import FerError
from fer.training.overrides import choices

# First parts of keys that every trial of a grid shares.
_SHARED = ("sweep", "hydra")


@dataclass(frozen=True)
class Grid:
    """Overrides that all trials share, and those with several values.

    Attributes:
        fixed: Overrides with one value, as on the command line.
        values: Key, with its ``+`` if it has one, -> the overrides of that key, one for each value.
    """

    fixed: list[str]
    values: dict[str, list[str]]

    def trials(self) -> list[list[str]]:
        """Return the overrides of each combination; the last key varies fastest, as in Hydra's own grid."""
        return [list(words) for words in itertools.product(*self.values.values())]

    def size(self) -> str:
        """Return the numbers of values, ``3 optimizer x 2 seed``."""
        return " x ".join(f"{len(words)} {key.lstrip('+')}" for key, words in self.values.items())


def parse_grid(overrides: Sequence[str]) -> Grid:
    """Return the grid of overrides; of two overrides of a key the later one counts, as in Hydra.

    Raises:
        FerError: A value is an interval, or matches no option; or a key must be the same for all trials.
        hydra.errors.OverrideParseException: An override is not written ``key=value``.
    """
    by_key = {item.get_key_element(): item for item in OverridesParser.create().parse_overrides([*overrides])}
    swept = {key: _values(key, item) for key, item in by_key.items() if item.is_sweep_override()}
    return Grid([str(item.input_line) for key, item in by_key.items() if key not in swept], swept)


def _values(key: str, item: Override) -> list[str]:
    """Return the overrides of a key, one for each of its values."""
    if item.key_or_group.split(".")[0].split("/")[0] in _SHARED:
        raise FerError(
            f"{item.input_line}: expected one value, because all trials share it, got several. Start one "
            "sweep for each value."
        )
    value = item.value()
    if isinstance(value, Glob):
        known = choices(item.key_or_group)
        if not (names := value.filter(known)):
            raise FerError(
                f"{item.input_line}: expected a pattern that matches one of "
                f"{', '.join(known) or 'the choices of a config group'}, got none."
            )
        return [f"{key}={name}" for name in names]
    if item.value_type is ValueType.INTERVAL_SWEEP:
        raise FerError(
            f"{item.input_line}: expected a list of values, such as {key}=1,2,3, got an interval. To search "
            f"an interval, use sweep=custom 'sweep.space={{{key}: {{low: …, high: …}}}}'."
        )
    # Of equal values the first one counts.
    return list(dict.fromkeys(f"{key}={text}" for text in item.sweep_string_iterator()))


def override_values(words: Sequence[str]) -> dict[str, object]:
    """Return key -> value of overrides with one value each, as Hydra reads them."""
    items = OverridesParser.create().parse_overrides([*words])
    return {item.key_or_group: item.value() for item in items}


def short_words(words: Sequence[str]) -> list[str]:
    """Return overrides with the last part of each key only, where these differ: ``lr=0.1``."""
    keys = [word.lstrip("+").partition("=")[0] for word in words]
    last = [key.rpartition(".")[2] for key in keys]
    names = last if len(set(last)) == len(last) else keys
    return [f"{name}={word.partition('=')[2]}" for name, word in zip(names, words, strict=True)]


def common_error(errors: Mapping[int, FerError], trials: Sequence[Sequence[str]]) -> FerError | None:
    """Return one error for trials that cannot start; None if all can.

    Args:
        errors: Number of the trial -> its error.
        trials: The overrides of all trials.
    """
    if not errors:
        return None
    first, *others = errors
    if len({str(error) for error in errors.values()}) == 1 and len(errors) == len(trials):
        return errors[first]
    number = f"trial {first} of {len(trials)} ({' '.join(trials[first])})"
    also = f", and so are trials {', '.join(map(str, others))}" if len(others) > 1 else ""
    also = f", and so is trial {others[0]}" if len(others) == 1 else also
    return FerError(f"{number} is wrong{also}: {errors[first]}" if also else f"{number}: {errors[first]}")
