"""The options of a registered part, declared by the signature of the function or class that builds it.

Annotations and defaults become the fields of a `Config`, so that an option of a plugin is checked like one of
this package: a wrong value or an unknown key is one clear line, and a config needs only what differs.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import BaseModel, Field, create_model

from fer.core.config import Config, Number
from fer.core.errors import FerError

_Config = TypeVar("_Config", bound=Config)
_PLAIN = (bool, int, float, str)
_LISTS = (list, tuple, collections.abc.Sequence)
_DICTS = (dict, collections.abc.Mapping)


def parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function, or of the ``__init__`` of a class."""
    return dict(inspect.signature(build).parameters)


def accepts(build: Callable[..., Any], name: str) -> bool:
    """Return whether a function or class takes a keyword, by name or as one of its ``**options``."""
    known = parameters(build)
    return name in known or any(item.kind is item.VAR_KEYWORD for item in known.values())


def accepted(build: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a function or class takes as keywords."""
    return {name: value for name, value in values.items() if accepts(build, name)}


def options_from(
    build: Callable[..., Any],
    base: type[_Config],
    name: str,
    given: Iterable[str] = (),
    positional: int = 0,
    with_name: bool = True,
) -> type[_Config]:
    """Return the config class of the options that a function or class takes.

    Args:
        build: The function or class. A parameter without a default is required.
        base: Base of the config class; a parameter of the name of one of its fields changes its default.
        name: Name of the part, the value of the field ``name``.
        given: Parameters that are not options: those which the builder of this package passes.
        positional: Number of leading parameters that are not options.
        with_name: Whether the config has the field ``name``.

    Raises:
        FerError: A parameter is not a plain value, or has the name of an attribute of `Config`.
    """
    hints = _hints(build)
    fields: dict[str, Any] = {"name": (Literal[name], name)} if with_name else {}
    for parameter in list(parameters(build).values())[positional:]:
        is_open = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        is_inherited = parameter.name in base.model_fields and parameter.default is parameter.empty
        if parameter.name not in given and not is_open and not is_inherited:
            where = f"{build.__module__}.{getattr(build, '__qualname__', name)}, {parameter.name}"
            fields[parameter.name] = _field(parameter, hints.get(parameter.name), base, where)
    title = "".join(part.capitalize() for part in name.replace("-", "_").replace(".", "_").split("_"))
    doc = (inspect.getdoc(build) or f"Options of {name}.").splitlines()[0]
    created: type[_Config] = create_model(f"{title}Options", __base__=base, __doc__=doc, **fields)
    return created


def _hints(build: Callable[..., Any]) -> dict[str, Any]:
    function = build.__init__ if isinstance(build, type) else build  # type: ignore[misc]
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        # A name that is imported for type checkers only; such parameters are not plain values anyway.
        return dict(getattr(function, "__annotations__", {}))


def _field(parameter: inspect.Parameter, hint: Any, base: type[Config], where: str) -> tuple[Any, Any]:
    """Return type and default of a parameter, as pydantic takes them."""
    default = ... if parameter.default is parameter.empty else parameter.default
    if isinstance(default, tuple):
        default = list(default)
    inherited = base.model_fields.get(parameter.name)
    if inherited is not None:
        metadata = inherited.metadata or [None]
        return (Annotated[(inherited.annotation, *metadata)], default)
    if hasattr(BaseModel, parameter.name) or hasattr(base, parameter.name):
        raise FerError(f"{where}: expected another name of an option, got one of Config. Rename it.")
    if hint is None:
        hint = _type_of(default)
    annotation = _plain(hint, where)
    if default is None:
        annotation = annotation | None if annotation is not Any else Any
    return annotation, (Field(default_factory=default.copy) if isinstance(default, list | dict) else default)


def _type_of(default: Any) -> Any:
    """Return the type of an option without annotation: that of its default."""
    return type(default) if isinstance(default, _PLAIN) else Any


def _plain(hint: Any, where: str) -> Any:
    """Return the type of values in a YAML file for a parameter's annotation.

    Raises:
        FerError: Values of this type cannot be written in a YAML file.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is float:
        return Number
    if hint in (Any, type(None), None, *_PLAIN) or origin is Literal:
        return hint
    if origin is Annotated:
        return Annotated[(_plain(inner[0], where), *inner[1:])]
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(item, where) for item in inner)]  # noqa: UP007 - of a tuple
    if hint in _LISTS or origin in _LISTS:
        items = [_plain(item, where) for item in inner if item is not Ellipsis]
        return list[Union[tuple(items)]] if items else list[Any]  # type: ignore[misc]  # noqa: UP007
    if hint in _DICTS or origin in _DICTS:
        return dict[str, _plain(inner[1], where) if inner else Any]  # type: ignore[misc]
    raise FerError(
        f"{where}: expected an annotation of a plain value (bool, int, float, str, Literal, list, dict, or "
        f"several of them), got {getattr(hint, '__name__', hint)}. Change it, or build the object from plain "
        "values."
    )
