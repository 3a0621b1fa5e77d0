"""Convert results to JSON values."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

UNDEFINED = "not a finite number"


def to_json_values(value: Any) -> Any:
    """Return ``value`` as JSON values; NaN and infinity become ``None``.

    If the value of an estimate (``value`` and ``note``, see `fer.analysis.figure.Estimate`) is ``None`` and
    its note is empty, the note becomes `UNDEFINED`.

    Args:
        value: Nested mappings, sequences, dataclasses, numpy arrays and scalars, paths.

    Raises:
        TypeError: It contains a type that JSON cannot represent.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return _with_note({str(key): to_json_values(content) for key, content in value.items()})
    if isinstance(value, list | tuple):
        return [to_json_values(content) for content in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f"Numbers of a report: expected values that JSON can represent, got {type(value).__name__}."
    )


def _with_note(content: dict[str, Any]) -> dict[str, Any]:
    if "value" in content and content["value"] is None and content.get("note") == "":
        content["note"] = UNDEFINED
    return content
