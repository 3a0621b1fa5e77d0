"""Which bundle is meant: the one in the package, a folder, or a name."""

from pathlib import Path

from fer.bundle.files import CARD, Bundle, read_bundle
from fer.bundle.registry import Registry
from fer.errors import FerError, did_you_mean

ZOO = Path(__file__).parent.parent / "zoo"
REGISTRY = Path("models")  # where fer-export --register puts them


def find_bundle(model: str | Path | Bundle | None = None) -> Bundle:
    """Open the bundle that is meant.

    Args:
        model: A bundle, its folder, ``NAME``, ``NAME:N`` or ``NAME:ALIAS`` of the registry in ``models/``, or
            the name of one that comes with the package, unless the registry has one of that name; None takes
            the one that comes with the package.

    Raises:
        FerError: There is none, or it cannot be used (see `read_bundle`).
    """
    if isinstance(model, Bundle):
        return model
    if model is None:
        return read_bundle(_only_shipped())
    try:
        if isinstance(model, str) and "/" not in model and not (Path(model) / CARD).is_file():
            return _named(model)
        return read_bundle(model)
    except OSError as error:  # no right to look there, or a name that is too long
        raise FerError(f"{str(model)[:200]}: cannot be looked up ({error.strerror}).") from error


def shipped() -> list[str]:
    """Return the names of the models that come with the package."""
    return [card.parent.name for card in sorted(ZOO.glob(f"*/{CARD}"))]


def _only_shipped() -> Path:
    if not shipped():
        raise FerError(
            "No model comes with this installation. Name one: --model RUN/bundle (see fer-export)."
        )
    return ZOO / shipped()[0]


def place_of(name: str, registry: Registry) -> Path | None:
    """Return the folder of a model by its name: of the registry before the package; ``None``: of neither.

    Raises:
        FerError: The registry has the model, but not this version or alias of it.
    """
    if name.partition(":")[0] in registry.names():
        return registry.place(name)
    return ZOO / name if name in shipped() else None


def _named(name: str) -> Bundle:
    registry = Registry(REGISTRY)
    if (place := place_of(name, registry)) is not None:
        return read_bundle(place)
    if Path(name).exists():
        return read_bundle(name)  # which says what it lacks
    known = [*shipped(), *registry.names()]
    raise FerError(
        f"{name}: expected the folder of a bundle, or a model by name: {', '.join(known) or 'there is none'}."
        f"{did_you_mean(name, known)}"
    )
