"""Search spaces: choices and ranges for keys of the config, some of them conditional on another choice."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial

from fer.core.errors import FerError, did_you_mean

Value = None | bool | int | float | str
_RANGE_KEYS = ("low", "high", "log", "step")
_EXAMPLES = "a list ([adamw, sgd]) or a range ({low: 1e-4, high: 1e-2, log: true})"


@dataclass(frozen=True)
class Choice:
    """A list of values, of which a trial takes one."""

    values: tuple[Value, ...]

    def suggest(self, trial: BaseTrial, name: str) -> Value:
        """Return a trial's value."""
        return trial.suggest_categorical(name, self.values)

    def grid(self) -> list[Value]:
        """Return all values."""
        return list(self.values)

    limits = grid


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included; an integer if these and the step are integers."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: BaseTrial, name: str) -> Value:
        """Return a trial's value."""
        if self.is_integer():
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def is_integer(self) -> bool:
        """Return whether its values are integers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def grid(self) -> list[Value]:
        """Return its values; empty if it has no step."""
        if self.step is None:
            return []
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + index * self.step, 12) for index in range(count)]

    def limits(self) -> list[Value]:
        """Return the lowest and the highest value."""
        return [self.low, self.high]


Domain = Choice | Range


@dataclass(frozen=True)
class Parameter:
    """A key of the config with its domain, or with one domain for each choice of another key.

    Attributes:
        key: The key, or the config group.
        domains: Name in the study -> domain; several if it depends on the choice of a parent.
        parent: Key of the parent; None if the parameter is unconditional.
        names: Choice of the parent -> name in the study.
        unlisted: Choices with a domain that the parent does not list, e.g. because its list was shortened.
    """

    key: str
    domains: dict[str, Domain]
    parent: str | None
    names: dict[Value, str]
    unlisted: tuple[str, ...] = ()

    def domain(self, chosen: Mapping[str, Value]) -> tuple[str, Domain] | None:
        """Return name and domain for the values chosen so far; None if it does not apply to them."""
        name = self.key if self.parent is None else self.names.get(chosen.get(self.parent))
        return None if name is None else (name, self.domains[name])


def parse_space(space: object) -> list[Parameter]:
    """Return the parameters of ``sweep.space``: groups first, then their keys, otherwise in the given order.

    An entry is a list, a range, or a dict of these by the choices of a parent entry: the nearest prefix of
    its key (``optimizer`` for ``optimizer.lr``), or the key that ``given`` names. ``"adam, adamw": …`` is one
    parameter that both choices share.

    Raises:
        FerError: An entry is neither a list nor a range, is empty or reversed, or depends on a key that is
            not before it in the space.
    """
    if not isinstance(space, Mapping) or not space:
        raise FerError(f"sweep.space: expected keys of the config with {_EXAMPLES} each, got {space!r}.")
    if invalid := [key for key in space if not isinstance(key, str)]:
        raise FerError(f"sweep.space: expected keys of the config, got {invalid[0]!r}.")
    entries = dict(sorted(space.items(), key=lambda entry: entry[0].count(".")))
    keys = list(entries)
    return [
        _parse_parameter(key, entries[key], {name: entries[name] for name in keys[:position]})
        for position, key in enumerate(keys)
    ]


def suggest(trial: BaseTrial, space: Sequence[Parameter]) -> dict[str, Value]:
    """Return key of the config -> value of a trial."""
    chosen: dict[str, Value] = {}
    for parameter in space:
        if (active := parameter.domain(chosen)) is not None:
            name, domain = active
            chosen[parameter.key] = domain.suggest(trial, name)
    return chosen


def grid(space: Sequence[Parameter]) -> list[dict[str, Value]]:
    """Return every combination, as name in the study -> value.

    Raises:
        FerError: A range has no step, so its values cannot be listed.
    """
    # Each point is (values by key of the config, values by name in the study).
    points: list[tuple[dict[str, Value], dict[str, Value]]] = [({}, {})]
    for parameter in space:
        points = list(itertools.chain.from_iterable(_extended(parameter, *point) for point in points))
    return [by_name for _, by_name in points]


def _extended(
    parameter: Parameter, by_key: dict[str, Value], by_name: dict[str, Value]
) -> list[tuple[dict[str, Value], dict[str, Value]]]:
    active = parameter.domain(by_key)
    if active is None:
        return [(by_key, by_name)]
    name, domain = active
    if not (values := domain.grid()):
        raise FerError(
            f"sweep.space, {name}: expected values for a grid, got a range without a step. Give a list, add "
            "a step to the range, or set sweep.sampler=random."
        )
    return [({**by_key, parameter.key: value}, {**by_name, name: value}) for value in values]


def _parse_parameter(key: str, entry: object, before: Mapping[str, object]) -> Parameter:
    location = f"sweep.space, {key}"
    if not isinstance(entry, Mapping) or {"low", "high"} & set(entry):
        return Parameter(key, {key: _parse_domain(entry, location)}, None, {})
    if not (branches := {choice: domain for choice, domain in entry.items() if choice != "given"}):
        raise FerError(f"{location}: expected {_EXAMPLES}, got {dict(entry)!r}.")
    nearest = max((name for name in before if key.startswith(f"{name}.")), key=len, default=None)
    parent = entry.get("given", nearest)
    if parent not in before:
        raise FerError(
            f"{location}: expected {_EXAMPLES}, or these by the choices of a key that is before it in the "
            f"space, got {sorted(map(str, branches))[0]!r} of {parent or 'none'}. To name a key that is not "
            "a prefix, add given: KEY."
        )
    return _parse_conditional(key, branches, str(parent), _list_choices(before[str(parent)]))


def _list_choices(entry: object) -> list[Any]:
    """Return the choices of an earlier entry, of all its branches together."""
    if isinstance(entry, Mapping):
        branches = [domain for choice, domain in entry.items() if choice != "given"]
        return list(dict.fromkeys(value for domain in branches for value in _list_choices(domain)))
    return list(entry) if isinstance(entry, Sequence) and not isinstance(entry, str) else []


def _parse_conditional(
    key: str, branches: Mapping[Any, object], parent: str, choices: Sequence[Any]
) -> Parameter:
    domains: dict[str, Domain] = {}
    names: dict[Value, str] = {}
    unlisted: list[str] = []
    by_text = {str(choice): choice for choice in choices}
    for branch, entry in branches.items():
        name = f"{key}[{branch}]"
        # "adam, adamw" is one branch for two choices.
        texts = [text.strip() for text in str(branch).split(",")]
        unlisted += [text for text in texts if text not in by_text]
        listed = [by_text[text] for text in texts if text in by_text]
        domain = _parse_domain(entry, f"sweep.space, {name}")
        if listed:
            domains[name] = domain
            names |= dict.fromkeys(listed, name)
    return Parameter(key, domains, parent, names, tuple(unlisted))


def _parse_domain(entry: object, location: str) -> Domain:
    if isinstance(entry, Mapping):
        return _parse_range(entry, location)
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise FerError(f"{location}: expected {_EXAMPLES}, got {entry!r}.")
    if not entry or not all(isinstance(value, Value) for value in entry):
        raise FerError(f"{location}: expected a list of at least one string or number, got {list(entry)!r}.")
    if len(set(map(repr, entry))) < len(entry):
        raise FerError(
            f"{location}: expected different values, got one twice in {list(entry)!r}. Remove one."
        )
    return Choice(tuple(entry))


def _parse_range(entry: Mapping[Any, Any], location: str) -> Range:
    if unknown := [key for key in entry if key not in _RANGE_KEYS]:
        raise FerError(
            f"{location}: expected a range with {', '.join(_RANGE_KEYS)}, got {unknown[0]!r}."
            + did_you_mean(str(unknown[0]), _RANGE_KEYS)
        )
    numbers: Any = [entry.get(key) for key in _RANGE_KEYS]
    low, high, log, step = numbers
    if not _is_number(low) or not _is_number(high) or not (step is None or _is_number(step)):
        raise FerError(f"{location}: expected numbers as low, high and step, got {dict(entry)!r}.")
    if low >= high:
        raise FerError(
            f"{location}: expected low below high, got {low} and {high}. For one value give a list, [{low}]."
        )
    if log and low <= 0:
        raise FerError(f"{location}: expected low above 0 with log, got {low}.")
    if step is not None and (log or not 0 < step <= high - low):
        raise FerError(
            f"{location}: expected a step above 0, of at most {high - low}, without log, got {step}."
        )
    return Range(low, high, bool(log), step)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
