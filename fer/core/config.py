"""Typed configs: each field declares its type, range and choices, and a wrong value gives one clear line.

Built on pydantic. A `Config` is immutable, refuses unknown keys, and keeps the values that it was given: the
integer 8 stays an integer where a fraction would be allowed.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union

import annotated_types
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from fer.core.errors import FerError, did_you_mean
from fer.core.paths import CONFIG_DIR, expand_user
from fer.core.plugins import failures, load_installed
from fer.core.registry import Registry

# A finite number, integer or not.
Number = int | Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
NotNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
_NAMES = {
    int: "an integer", float: "a number", bool: "true or false", str: "text", list: "a list",
    dict: "options by name", type(None): "null",
}  # fmt: skip
# A config, its plain values, or its name: what builders accept.
Part = Union[str, Mapping[str, Any], "Config"]
_Config = TypeVar("_Config", bound="Config")


class Config(BaseModel):
    """Base of all configs.

    Class attributes:
        key: Key of the config within the run config, for messages; ``""`` for the run config itself.
        advice: Field -> what to do about a wrong value, appended to its message.
        path_fields: Fields whose text is a path.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, protected_namespaces=(), defer_build=True
    )
    key: ClassVar[str] = ""
    advice: ClassVar[Mapping[str, str]] = {}
    path_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **values: Any) -> None:
        """Check the values.

        Raises:
            FerError: A key is unknown or missing, or a value has the wrong type or is out of range.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explain(type(self), error) from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the config of plain values; a missing key has its default.

        Args:
            values: Field -> value, nested configs as mappings.

        Raises:
            FerError: A key is unknown or missing, or a value has the wrong type or is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _explain(cls, error) from None

    @classmethod
    def of(cls, value: "str | Mapping[str, Any] | Config") -> Self:
        """Return a config from a config, from plain values, or from a name.

        A name is one of Hydra's choices, the files of ``conf/<key>/``, or else the value of ``name``.

        Raises:
            FerError: As `from_dict`.
        """
        if isinstance(value, str):
            value = _load_choice(cls.key, value) or {"name": value}
        return value if isinstance(value, cls) else cls.from_dict(dict(value))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `from_dict` accepts them: what checkpoints and ``config.yaml`` store."""
        return self.model_dump(serialize_as_any=True)

    def options(self) -> dict[str, Any]:
        """Return all fields except ``name``: keyword arguments for what the config names."""
        return {name: value for name, value in self if name != "name"}

    def with_absolute_paths(self) -> Self:
        """Return a copy in which the paths, also of nested configs, are absolute. Symbolic links are kept."""
        return self.replace(**{name: _absolute(value, name in self.path_fields) for name, value in self})

    def replace(self, **values: Any) -> Self:
        """Return a copy with other values.

        Raises:
            FerError: As `from_dict`.
        """
        return type(self).from_dict({**dict(self), **values})


class Choice(Config):
    """Base of configs that are chosen by ``name``: subclasses declare it as ``name: Literal["…"]``."""

    name: str

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, values: Any, build: Any) -> Any:
        if isinstance(values, cls) or _literals(cls.model_fields["name"].annotation):
            return build(values)
        if not isinstance(values, Mapping):
            raise FerError(f"{cls.key}: expected options by name, got {values!r}.")
        name = values.get("name")
        if (choice := cls.choice(name)) is None:
            choices = cls.choices()
            raise FerError(
                f"{cls.key}.name: expected one of {', '.join(choices)}, got {name!r}."
                f"{did_you_mean(str(name), choices)}{failures()}"
            )
        return choice.from_dict(values)

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"name": self.name, **dump(self)}

    @classmethod
    def without_leftovers(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return plain values without the options of other choices.

        Hydra leaves them behind where one file sets an option, and a later one makes another choice.
        """
        chosen = cls.choice(values.get("name")) or cls
        others = {key for choice in cls.choices().values() for key in choice.model_fields}
        leftovers = others - chosen.model_fields.keys()
        return {key: value for key, value in values.items() if key not in leftovers}

    @classmethod
    def choice(cls, name: object) -> "type[Self] | None":
        """Return the subclass of a name, also of an installed plugin; None if there is none."""
        if name not in cls.choices():
            load_installed()
        return cls.choices().get(str(name))

    @classmethod
    def choices(cls) -> "dict[str, type[Self]]":
        """Return name -> subclass."""
        return {name: choice for choice in _subclasses(cls)
                for name in _literals(choice.model_fields["name"].annotation)}  # fmt: skip


class Open(Config):
    """Base of configs of which a registered part, chosen by ``name``, has options of its own."""

    registry: ClassVar[Registry]

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, values: Any, build: Any) -> Any:
        field = cls.model_fields.get("name")
        name = values.get("name") if isinstance(values, Mapping) else None
        if not isinstance(name, str) or (field is not None and _literals(field.annotation)):
            return build(values)
        if (entry := cls.registry.find(name)) is not None and entry.options is not None:
            return entry.options.from_dict(values)
        if field is not None:
            return build(values)
        known = [path.stem for path in sorted((CONFIG_DIR / cls.key).glob("*.yaml"))] + cls.registry.names()
        hint = did_you_mean(name, known)
        raise FerError(f"{cls.key}: expected one of {', '.join(known)}, got {name!r}.{hint}{failures()}")


def _absolute(value: Any, is_path: bool) -> Any:
    if isinstance(value, Config):
        return value.with_absolute_paths()
    if isinstance(value, list):
        return [_absolute(item, is_path) for item in value]
    return str(expand_user(value).absolute()) if is_path and isinstance(value, str) else value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of nested values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= flatten(value, f"{key}.") if isinstance(value, Mapping) and value else {key: value}
    return flat


def _subclasses(cls: type[_Config]) -> Iterator[type[_Config]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _load_choice(group: str, name: str) -> dict[str, Any]:
    """Return the values of a file of ``conf/`` and of the files that it extends; empty if there is none.

    Interpolations are left out, so that the declared defaults apply.
    """
    path = CONFIG_DIR / group / f"{name}.yaml"
    if not path.is_file():
        return {}
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    values: dict[str, Any] = {}
    for parent in content.pop("defaults", []):
        values |= _load_choice(group, parent)
    for key, value in content.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            values[key] = values[key] | value
        elif not (isinstance(value, str) and value.startswith(("${", "???"))):
            values[key] = value
    return values


def _literals(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _explain(cls: type[Config], error: ValidationError) -> FerError:
    """Return the first of pydantic's errors as one line."""
    first = error.errors(include_url=False)[0]
    nested = first.get("ctx", {}).get("error")
    if isinstance(nested, FerError):
        return nested
    owner, names, field = _find_field(cls, first["loc"])
    dotted = ".".join([*([cls.key] if cls.key else []), *names])
    if first["type"] == "extra_forbidden":
        known, unknown = list(owner.model_fields), str(first["loc"][len(names)])
        return FerError(
            f"{dotted or 'config'}: expected the keys {', '.join(known)}, got {unknown!r}."
            f"{did_you_mean(unknown, known)}"
        )
    if field is None:
        return FerError(f"{dotted or 'config'}: expected options by name, got {first['input']!r}.")
    if first["type"] == "missing":
        return FerError(f"{dotted}: expected a value, got none. Set {dotted}=….")
    value = first["input"]
    got = "null" if value is None else repr(value)
    advice = owner.advice.get(names[-1])
    hint = did_you_mean(str(value), map(str, _literals(field.annotation)))
    return FerError(
        f"{dotted}: expected {_describe(field)}, got {got}.{hint}{f' {advice}' if advice else ''}"
    )


def _find_field(
    cls: type[Config], location: tuple[int | str, ...]
) -> tuple[type[Config], list[str], FieldInfo | None]:
    """Return the config that declares the field of a location, the names of the path, and the field."""
    names: list[str] = []
    field: FieldInfo | None = None
    for part in location:
        inner = cls if field is None else _config_in(field.annotation)
        if inner is None or part not in inner.model_fields:
            cls = inner or cls
            break
        cls, field = inner, inner.model_fields[str(part)]
        names.append(str(part))
    return cls, names, field


def _config_in(annotation: Any) -> type[Config] | None:
    options = typing.get_args(annotation) or (annotation,)
    return next((item for item in options if isinstance(item, type) and issubclass(item, Config)), None)


def _describe(field: FieldInfo) -> str:
    """Return what a field expects, e.g. ``a number in [0, 1) or null``."""
    kinds, limits = _flatten(field.annotation), list(field.metadata)
    for _, metadata in kinds:
        limits += metadata
    texts = list(dict.fromkeys(_describe_kind(kind, _describe_range(limits)) for kind, _ in kinds))
    # A number may be an integer.
    if any(text.startswith("a number") for text in texts):
        texts = [text for text in texts if not text.startswith("an integer")]
    return field.description or " or ".join(texts)


def _flatten(annotation: Any) -> list[tuple[Any, list[Any]]]:
    """Return the members of nested unions with their metadata."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = typing.get_args(annotation)
        unpacked = [part for item in metadata for part in getattr(item, "metadata", [item])]
        return [(kind, known + unpacked) for kind, known in _flatten(inner)]
    if origin in (Union, types.UnionType):
        return [member for item in typing.get_args(annotation) for member in _flatten(item)]
    return [(annotation, [])]


def _describe_kind(kind: Any, limits: str) -> str:
    if choices := _literals(kind):
        return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(choices[0])
    name = _NAMES.get(typing.get_origin(kind) or kind, "options by name")
    return f"{name}{limits}" if kind in (int, float) else name


def _format(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _describe_range(metadata: list[Any]) -> str:
    low = next((item for item in metadata if isinstance(item, annotated_types.Ge | annotated_types.Gt)), None)
    high = next(
        (item for item in metadata if isinstance(item, annotated_types.Le | annotated_types.Lt)), None
    )
    lower: Any = getattr(low, "ge", getattr(low, "gt", None))
    upper: Any = getattr(high, "le", getattr(high, "lt", None))
    if low is not None and high is not None:
        left = "[" if isinstance(low, annotated_types.Ge) else "("
        right = "]" if isinstance(high, annotated_types.Le) else ")"
        return f" in {left}{_format(lower)}, {_format(upper)}{right}"
    if low is not None:
        return f" of at least {lower}" if isinstance(low, annotated_types.Ge) else f" above {lower}"
    if high is not None:
        return f" of at most {upper}" if isinstance(high, annotated_types.Le) else f" below {upper}"
    return ""
