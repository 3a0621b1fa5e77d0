"""Check that the installed ``fer`` is this one: PyPI's ``fer``, another project, has the same name."""

import fer
from fer.core.errors import FerError

CURE = (
    "Run pip uninstall -y fer fer-lightning, install fer-lightning again, and use another environment for "
    "PyPI's fer."
)


def check_installation() -> None:
    """Check that ``fer/__init__.py`` is this project's.

    PyPI's ``fer`` installs its own in the same place, and takes the file away when it is uninstalled.

    Raises:
        FerError: It is another project's, or missing.
    """
    if "Predictor" in getattr(fer, "__all__", ()):
        return
    if getattr(fer, "__file__", None) is None:
        got = "no file"
    else:
        got = f"that of PyPI's fer {fer.__version__}" if hasattr(fer, "__version__") else "another one"
    raise FerError(f"{next(iter(fer.__path__))}: expected __init__.py of fer-lightning, got {got}. {CURE}")
