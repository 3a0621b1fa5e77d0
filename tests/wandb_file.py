"""A reader of the ``.wandb`` files that offline runs leave; wandb itself no longer has one in Python."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def read_wandb(folder: Path) -> list[Any]:
    """Return the records of the one ``.wandb`` file below ``folder``."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/*run-*/*.wandb")
    return [Record.FromString(content) for content in contents(path.read_bytes())]


def contents(data: bytes) -> Iterator[bytes]:
    """Undo LevelDB's log framing: blocks of 32 KiB, in them (CRC, length, kind) and a record or its part.

    https://github.com/google/leveldb/blob/main/doc/log_format.md, but the CRC is zlib's, and 7 bytes lead.
    """
    assert data[:4] == b":W&B"
    start, parts = 7, b""
    while start < len(data):
        if 32768 - start % 32768 < 7:
            start += 32768 - start % 32768
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, start)
        part = data[start + 7 : start + 7 + length]
        assert zlib.crc32(part, zlib.crc32(bytes([kind]))) == crc
        start, parts = start + 7 + length, parts + part
        if kind in (1, 4):  # the whole, or its last part
            yield parts
            parts = b""


def items(items: Any) -> dict[str, Any]:
    """Return the values by name; a table or picture comes in parts, as (name, property)."""
    values: dict[str, Any] = {}
    for item in items:
        path, place = list(item.nested_key) or [item.key], values
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = json.loads(item.value_json)
    return values


@dataclass
class Offline:
    """A W&B run read back: history rows, config, last summary, artifacts by type, exit code, its folder."""

    history: list[dict[str, Any]]
    config: dict[str, Any]
    summary: dict[str, Any]
    artifacts: dict[str, Any]
    exit_code: int
    files: Path

    @classmethod
    def read(cls, folder: Path) -> "Offline":
        records = read_wandb(folder)
        config, summary = {}, {}
        for record in records:
            config |= items(record.run.config.update) | items(record.config.update)
            summary |= items(record.summary.update)
        return cls(
            [items(r.history.item) for r in records if r.HasField("history")], config, summary,
            {r.artifact.type: r.artifact for r in records if r.HasField("artifact")},
            next(r.exit.exit_code for r in records if r.HasField("exit")),
            next(folder.glob("wandb/*run-*/files")),
        )  # fmt: skip

    def values(self, key: str) -> list[Any]:
        return [row[key] for row in self.history if key in row]
