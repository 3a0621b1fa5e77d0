"""What a sweep may try: choices and ranges for keys of the config, some only beside a certain choice."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fer.errors import FerError, did_you_mean

Value = None | bool | int | float | str
_RANGE_KEYS = ("low", "high", "log", "step")
_EXAMPLES = "a list ([adamw, sgd]) or a range ({low: 1e-4, high: 1e-2, log: true})"


class Suggests(Protocol):
    """What is asked for values: an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """Return a number from a range."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Return a whole number from a range."""


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Ask for one."""
        return trial.suggest_categorical(name, self.values)

    def grid(self) -> list[Value]:
        """Return all of them."""
        return list(self.values)

    ends = grid


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included; whole where both are, and the step."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Ask for one."""
        if self.is_whole():
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def is_whole(self) -> bool:
        """Return whether its numbers are whole ones."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def grid(self) -> list[Value]:
        """Return the steps of it; none where it has no step."""
        if self.step is None:
            return []
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + index * self.step, 12) for index in range(count)]

    def ends(self) -> list[Value]:
        """Return its two ends."""
        return [self.low, self.high]


Domain = Choice | Range


@dataclass(frozen=True)
class Parameter:
    """A key of the config and where its values come from.

    Attributes:
        key: The key, or the group.
        domains: Name in the study -> domain. Several where it depends on another's choice.
        parent: That other's key; None where the parameter is always there.
        names: Choice of the parent -> name in the study.
        strays: Choices that it has a domain for and the parent does not list, as where that was narrowed.
    """

    key: str
    domains: dict[str, Domain]
    parent: str | None
    names: dict[Value, str]
    strays: tuple[str, ...] = ()

    def domain(self, chosen: Mapping[str, Value]) -> tuple[str, Domain] | None:
        """Return name and domain beside the values chosen so far; None where it has no place there."""
        name = self.key if self.parent is None else self.names.get(chosen.get(self.parent))
        return None if name is None else (name, self.domains[name])


def parse_space(space: object) -> list[Parameter]:
    """Read ``sweep.space``: groups first, then their keys, else in the order given.

    An entry is a list, a range, or a dict of either by the choices of another entry: the nearest above it
    (``optimizer`` for ``optimizer.lr``) or the one that ``given`` names. ``"adam, adamw": …`` is one
    parameter that both share.

    Raises:
        FerError: An entry is neither list nor range, is empty or reversed, or depends on a choice that is
            not there.
    """
    if not isinstance(space, Mapping) or not space:
        raise FerError(f"sweep.space: expected keys of the config with {_EXAMPLES} each, got {space!r}.")
    if strange := [key for key in space if not isinstance(key, str)]:
        raise FerError(f"sweep.space: expected keys of the config, got {strange[0]!r}.")
    entries = dict(sorted(space.items(), key=lambda entry: entry[0].count(".")))
    keys = list(entries)
    return [
        _parameter(key, entries[key], {name: entries[name] for name in keys[:position]})
        for position, key in enumerate(keys)
    ]


def suggest(trial: Suggests, space: Sequence[Parameter]) -> dict[str, Value]:
    """Return key -> value as a trial (or whatever suggests) has it."""
    chosen: dict[str, Value] = {}
    for parameter in space:
        if (found := parameter.domain(chosen)) is not None:
            name, domain = found
            chosen[parameter.key] = domain.suggest(trial, name)
    return chosen


def grid(space: Sequence[Parameter]) -> list[dict[str, Value]]:
    """Return every combination, as name in the study -> value.

    Raises:
        FerError: A range has no step, so that it has no end of values.
    """
    points: list[tuple[dict[str, Value], dict[str, Value]]] = [({}, {})]  # by key, by name
    for parameter in space:
        points = list(itertools.chain.from_iterable(_extended(parameter, *point) for point in points))
    return [by_name for _, by_name in points]


def _extended(
    parameter: Parameter, by_key: dict[str, Value], by_name: dict[str, Value]
) -> list[tuple[dict[str, Value], dict[str, Value]]]:
    found = parameter.domain(by_key)
    if found is None:
        return [(by_key, by_name)]
    name, domain = found
    if not (values := domain.grid()):
        raise FerError(
            f"sweep.space, {name}: a grid needs values. Give a list, or the range a step; or sampler=random."
        )
    return [({**by_key, parameter.key: value}, {**by_name, name: value}) for value in values]


def _parameter(key: str, entry: object, before: Mapping[str, object]) -> Parameter:
    where = f"sweep.space, {key}"
    if not isinstance(entry, Mapping) or {"low", "high"} & set(entry):
        return Parameter(key, {key: _domain(entry, where)}, None, {})
    if not (branches := {several: domain for several, domain in entry.items() if several != "given"}):
        raise FerError(f"{where}: expected {_EXAMPLES}, got {dict(entry)!r}.")
    nearest = next((name for name in _prefixes(key) if name in before), None)
    parent = entry.get("given", nearest)
    if parent not in before:
        raise FerError(
            f"{where}: expected {_EXAMPLES}, or these by the choices of a key that stands before it in the "
            f"space, got {sorted(map(str, branches))[0]!r} of {parent or 'none'}. Another key than the "
            "nearest above is named by given: KEY."
        )
    return _conditional(key, branches, str(parent), _choices(before[str(parent)]))


def _choices(entry: object) -> list[Any]:
    """Return what an earlier entry may choose from, in all of its branches together."""
    if isinstance(entry, Mapping):
        branches = [domain for several, domain in entry.items() if several != "given"]
        return list(dict.fromkeys(value for domain in branches for value in _choices(domain)))
    return list(entry) if isinstance(entry, Sequence) and not isinstance(entry, str) else []


def _conditional(key: str, branches: Mapping[Any, object], parent: str, choices: Sequence[Any]) -> Parameter:
    domains: dict[str, Domain] = {}
    names: dict[Value, str] = {}
    strays: list[str] = []
    by_word = {str(choice): choice for choice in choices}
    for several, domain in branches.items():
        name = f"{key}[{several}]"
        words = [word.strip() for word in str(several).split(",")]
        strays += [word for word in words if word not in by_word]
        known = [by_word[word] for word in words if word in by_word]
        read = _domain(domain, f"sweep.space, {name}")
        if known:
            domains[name] = read
            names |= dict.fromkeys(known, name)
    return Parameter(key, domains, parent, names, tuple(strays))


def _prefixes(key: str) -> list[str]:
    """Return the keys above a key, the nearest first."""
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def _domain(entry: object, where: str) -> Domain:
    if isinstance(entry, Mapping):
        return _range(entry, where)
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise FerError(f"{where}: expected {_EXAMPLES}, got {entry!r}.")
    if not entry or not all(isinstance(value, Value) for value in entry):
        raise FerError(f"{where}: expected a list of words or numbers, at least one, got {list(entry)!r}.")
    if len(set(map(repr, entry))) < len(entry):
        raise FerError(f"{where}: a value is there twice in {list(entry)!r}. Leave one out.")
    return Choice(tuple(entry))


def _range(entry: Mapping[Any, Any], where: str) -> Range:
    if strange := [key for key in entry if key not in _RANGE_KEYS]:
        raise FerError(
            f"{where}: a range has {', '.join(_RANGE_KEYS)}, not {strange[0]!r}."
            + did_you_mean(str(strange[0]), _RANGE_KEYS)
        )
    numbers: Any = [entry.get(key) for key in _RANGE_KEYS]
    low, high, log, step = numbers
    if not _is_number(low) or not _is_number(high) or not (step is None or _is_number(step)):
        raise FerError(f"{where}: expected numbers as low, high and step, got {dict(entry)!r}.")
    if low >= high:
        raise FerError(
            f"{where}: low ({low}) must lie below high ({high}); a single value is a list, [{low}]."
        )
    if log and low <= 0:
        raise FerError(f"{where}: a log range must lie above 0, got low: {low}.")
    if step is not None and (log or not 0 < step <= high - low):
        raise FerError(f"{where}: expected a step above 0, of at most {high - low}, without log, got {step}.")
    return Range(low, high, bool(log), step)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
