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
        model: A bundle, its folder, the name of one that comes with the package, or ``NAME``, ``NAME:N`` or
            ``NAME:ALIAS`` of the registry in ``models/``; None takes the one that comes with the package.

    Raises:
        FerError: There is none, or it cannot be used (see `read_bundle`).
    """
    if isinstance(model, Bundle):
        return model
    if model is None:
        return read_bundle(_shipped())
    if isinstance(model, str) and not Path(model).exists() and "/" not in model:
        return _named(model)
    return read_bundle(model)


def _shipped() -> Path:
    folders = sorted(ZOO.glob(f"*/{CARD}"))
    if not folders:
        raise FerError(
            "No model comes with this installation. Name one: --model RUN/bundle (see fer-export)."
        )
    return folders[0].parent


def _named(name: str) -> Bundle:
    shipped = [card.parent.name for card in sorted(ZOO.glob(f"*/{CARD}"))]
    if name in shipped:
        return read_bundle(ZOO / name)
    registry = Registry(REGISTRY)
    if name.partition(":")[0] in registry.names():
        return registry.find(name)
    known = [*shipped, *registry.names()]
    raise FerError(
        f"{name}: expected the folder of a bundle, or a model by name: {', '.join(known) or 'there is none'}."
        f"{did_you_mean(name, known)}"
    )
