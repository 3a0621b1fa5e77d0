"""Export runs to bundles. The package can be called, as its function: ``fer.export(run)``."""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that is called like its main function, whose name in `fer` would otherwise be ambiguous."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from fer.core.errors import import_with_hint

        return import_with_hint("fer.export.export").export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
