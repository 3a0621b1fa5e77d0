"""Reference of ``card.json``, from its schema."""

import json
from collections.abc import Iterator
from typing import Any

from repository_links import ROOT

SCHEMA = ROOT / "fer" / "bundle" / "card.schema.json"


def schema_table() -> str:
    """Return a row for each field of a card: name, type, whether it is required, meaning."""
    schema = json.loads(SCHEMA.read_text())
    lines = ["| field | type | meaning |", "| --- | --- | --- |"]
    for name, part, required in fields(schema, schema):
        kind = _kind(part) + ("" if required else ", optional")
        lines.append(f"| `{name}` | {kind} | {_meaning(part)} |")
    table = "\n".join(lines)
    return f'<div class="stack" markdown>\n\n{table}\n\n</div>'


def fields(
    part: dict[str, Any], schema: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield the fields of an object and of the objects in it, with dots between names."""
    required = part.get("required", ())
    for name, field in part.get("properties", {}).items():
        field = resolved(field, schema)
        yield prefix + name, field, name in required
        yield from fields(field, schema, f"{prefix}{name}.")
        for inner, mark in ((field.get("items"), "[]"), (field.get("additionalProperties"), ".NAME")):
            if isinstance(inner, dict):
                yield from fields(resolved(inner, schema), schema, f"{prefix}{name}{mark}.")


def resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema with its reference replaced by what it refers to."""
    while "$ref" in part:
        target = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target | {key: value for key, value in part.items() if key != "$ref"}
    return part


def _kind(part: dict[str, Any]) -> str:
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "enum" in part:
        return ", ".join(f"`{json.dumps(value)}`" for value in part["enum"])
    kind = part.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else kind


def _meaning(part: dict[str, Any]) -> str:
    return part.get("description", "").replace("|", "\\|").replace("<", "&lt;")
