"""Find a bundle by folder, by its name in the registry, or by its name in the package (``fer/zoo``)."""

from pathlib import Path

from fer.bundle.files import CARD, Bundle, read_bundle
from fer.bundle.registry import Registry
from fer.errors import FerError, did_you_mean

ZOO = Path(__file__).parent.parent / "zoo"
# Default registry, to which fer-export --register adds models.
REGISTRY = Path("models")


def find_bundle(model: str | Path | Bundle | None = None) -> Bundle:
    """Open a bundle.

    Args:
        model: A bundle; the folder of one; ``NAME``, ``NAME:N`` or ``NAME:ALIAS`` in the registry
            ``models/``; or the name of a model that comes with the package, if the registry has none of that
            name. None: the default model of the package.

    Raises:
        FerError: There is no such bundle, or it is invalid (see `read_bundle`).
    """
    if isinstance(model, Bundle):
        return model
    if model is None:
        return read_bundle(_default_model())
    try:
        if isinstance(model, str) and "/" not in model and not (Path(model) / CARD).is_file():
            return _find_by_name(model)
        return read_bundle(model)
    except OSError as error:  # no permission, or the name is too long
        raise FerError(f"{str(model)[:200]}: cannot be opened ({error.strerror}).") from error


def packaged_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return [card.parent.name for card in sorted(ZOO.glob(f"*/{CARD}"))]


def _default_model() -> Path:
    if not packaged_models():
        raise FerError(
            "No model comes with this installation. Name one: --model RUN/bundle (see fer-export)."
        )
    return ZOO / packaged_models()[0]


def model_folder(name: str, registry: Registry) -> Path | None:
    """Return the folder of a model by name, from the registry or else the package; None if neither has it.

    Raises:
        FerError: The registry has the model, but not this version or alias of it.
    """
    if name.partition(":")[0] in registry.names():
        return registry.resolve(name)
    return ZOO / name if name in packaged_models() else None


def _find_by_name(name: str) -> Bundle:
    registry = Registry(REGISTRY)
    if (folder := model_folder(name, registry)) is not None:
        return read_bundle(folder)
    if Path(name).exists():
        return read_bundle(name)  # raises, and names the missing file
    known = [*packaged_models(), *registry.names()]
    raise FerError(
        f"{name}: expected the folder of a bundle, or one of these models: {', '.join(known) or 'none'}."
        f"{did_you_mean(name, known)}"
    )
