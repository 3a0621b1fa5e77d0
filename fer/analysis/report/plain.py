"""Numbers as JSON can hold them."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

UNDEFINED = "not a finite number"


def plain(value: Any) -> Any:
    """Return ``value`` as plain JSON values; NaN and infinity become ``None``.

    A figure (``value`` and ``note``, see `fer.analysis.scores.Figure`) whose value is none gets a note that
    says so, where it has none of its own.

    Args:
        value: Nested mappings, sequences, dataclasses, numpy arrays and scalars, paths.

    Raises:
        TypeError: It holds something that JSON has no form for.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return _with_note({str(key): plain(content) for key, content in value.items()})
    if isinstance(value, list | tuple):
        return [plain(content) for content in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a report's numbers: expected plain values, got {type(value).__name__}")


def _with_note(content: dict[str, Any]) -> dict[str, Any]:
    if "value" in content and content["value"] is None and content.get("note") == "":
        content["note"] = UNDEFINED
    return content
