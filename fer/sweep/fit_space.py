"""Does a space fit the config? Every key is looked up and every end of a range tried, before any trial."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from omegaconf import DictConfig, OmegaConf

from fer import options
from fer.errors import FerError, did_you_mean
from fer.option_values import check_values, flat
from fer.sweep.compose import Composer, override
from fer.sweep.space import Choice, Domain, Parameter, Range, Value

NOT_SEARCHED = ("sweep", "hydra", "proxy", "resume", "output_dir", "name", "monitor")
LENGTHS = ("trainer.max_epochs", "trainer.max_steps")


def check_fit(space: Sequence[Parameter], compose: Composer, prunes: bool) -> None:
    """Refuse a space that some trial of it could not be composed from.

    Args:
        space: Of the sweep.
        compose: From the command line.
        prunes: Whether trials are pruned by their share of the schedule.

    Raises:
        FerError: A key is none of the config's, or a value has no place there.
    """
    composed = cache(compose)
    for parameter in space:
        key = parameter.key
        if key.split(".")[0] in NOT_SEARCHED:
            raise FerError(f"sweep.space: {key} says how a sweep is run; it cannot be searched.")
        if prunes and key in LENGTHS:
            raise FerError(
                f"sweep.space: {key} is found by pruning: a bad trial ends early. Leave it out, or set "
                "sweep.pruner.name=none."
            )
        _check_strays(parameter)
        if key in options.groups():
            _check_group(parameter)
            if prunes:
                _check_length(parameter, composed)
            continue
        contexts = _contexts(parameter, space)
        _check_known(parameter, {words: composed(*words) for words, _ in contexts})
        for words, name in contexts:
            _check_values(composed(*words), parameter, name)


def _check_strays(parameter: Parameter) -> None:
    """Refuse a branch for what no choice is called; one that the space leaves out just now may stay."""
    known = options.choices(parameter.parent) if parameter.parent in options.groups() else []
    for word in parameter.strays:
        if word not in known:
            raise FerError(
                f"sweep.space, {parameter.key}: {word!r} is no choice of {parameter.parent}."
                f"{did_you_mean(word, [*known, *map(str, parameter.names)])}"
            )


def _check_group(parameter: Parameter) -> None:
    known = options.choices(parameter.key)
    for name, domain in parameter.domains.items():
        values = domain.values if isinstance(domain, Choice) else ("a range",)
        for value in values:
            if value not in known:
                raise FerError(
                    f"sweep.space, {name}: there is no {parameter.key} {value!r}, but {', '.join(known)}."
                    f"{did_you_mean(str(value), known)}"
                )


def _check_length(parameter: Parameter, compose: Callable[..., DictConfig]) -> None:
    """Refuse options of a group that train for another number of epochs: a pruner compares their shares."""
    base = compose()
    for value in dict.fromkeys(value for domain in parameter.domains.values() for value in domain.ends()):
        config = compose(override(parameter.key, value))
        for key in LENGTHS:
            before, now = OmegaConf.select(base, key), OmegaConf.select(config, key)
            if before != now:
                raise FerError(
                    f"sweep.space: {parameter.key}={value} sets {key} to {now}, and others to {before}. "
                    f"Trials that are pruned must be of one length: say {key}=… on the command line, or "
                    "set sweep.pruner.name=none."
                )


def _contexts(parameter: Parameter, space: Sequence[Parameter]) -> list[tuple[tuple[str, ...], str]]:
    """Return the words beside which a parameter is tried, and its name there."""
    if parameter.parent is not None:
        return [((override(parameter.parent, value),), name) for value, name in parameter.names.items()]
    group = parameter.key.split(".")[0]
    above = [other for other in space if other.key == group and group in options.groups()]
    values: list[Value] = [
        value for other in above for domain in other.domains.values() for value in domain.ends()
    ]
    return [((override(group, value),), parameter.key) for value in values] or [((), parameter.key)]


def _check_known(parameter: Parameter, configs: Mapping[tuple[str, ...], DictConfig]) -> None:
    """Refuse a key that the config does not have, beside some choice or at all."""
    keys = {words: list(flat(config)) for words, config in configs.items()}
    have = [words[0].partition("=")[2] for words, known in keys.items() if parameter.key in known and words]
    for words, known in keys.items():
        if parameter.key in known:
            continue
        where = f" beside {words[0]}" if words else ""
        hint = did_you_mean(parameter.key, [key for key in known if key.split(".")[0] not in NOT_SEARCHED])
        if have and parameter.parent is None:
            hint = f" Say where it belongs: {parameter.key}: {{{', '.join(have)}: …}}."
        raise FerError(f"sweep.space: the config has no {parameter.key}{where}.{hint}")


def _check_values(config: DictConfig, parameter: Parameter, name: str) -> None:
    _check_between(flat(config)[parameter.key], parameter.domains[name], name)
    for value in parameter.domains[name].ends():
        changed = config.copy()
        OmegaConf.update(changed, parameter.key, value)
        try:
            check_values(changed, config)
        except FerError as error:
            raise FerError(f"sweep.space, {name}: {error}") from error


def _check_between(was: object, domain: Domain, name: str) -> None:
    """Refuse whole ends for a key that takes any number, such as 0 and 1: nothing between would be tried."""
    if isinstance(was, float) and isinstance(domain, Range) and domain.is_whole() and not domain.step:
        whole = "" if domain.log else "; for whole ones step: 1"
        raise FerError(
            f"sweep.space, {name}: between whole ends only whole numbers are tried. For all numbers write "
            f"low: {float(domain.low)}{whole}."
        )
