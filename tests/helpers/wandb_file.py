"""A reader for the ``.wandb`` files of offline runs, because wandb has none in Python."""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def read_wandb(folder: Path) -> list[Any]:
    """Return the records of the only ``.wandb`` file below ``folder``."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/*run-*/*.wandb")
    return [Record.FromString(content) for content in split_records(path.read_bytes())]


def split_records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a file in LevelDB's log format.

    Blocks of 32 KiB hold (CRC, length, kind) and a record or a part of one. See
    https://github.com/google/leveldb/blob/main/doc/log_format.md; here the CRC is zlib's, and 7 bytes of
    header come first.
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
        # A complete record, or its last part.
        if kind in (1, 4):
            yield parts
            parts = b""


def decode_items(items: Any) -> dict[str, Any]:
    """Return the values by name; a table or an image has several items, keyed (name, property)."""
    values: dict[str, Any] = {}
    for item in items:
        path, target = list(item.nested_key) or [item.key], values
        for name in path[:-1]:
            target = target.setdefault(name, {})
        target[path[-1]] = json.loads(item.value_json)
    return values


def _finished_records(folder: Path) -> list[Any]:
    """Return the records once W&B's process has written the last one."""
    deadline = time.monotonic() + 30
    records = read_wandb(folder)
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline, f"{folder}: the W&B run was not finished"
        time.sleep(0.1)
        records = read_wandb(folder)
    return records


@dataclass
class OfflineRun:
    """A W&B offline run: history, config, final summary, artifacts by type, exit code, files, and output."""

    history: list[dict[str, Any]]
    config: dict[str, Any]
    summary: dict[str, Any]
    artifacts: dict[str, Any]
    exit_code: int
    files: Path
    output: str

    @classmethod
    def read(cls, folder: Path) -> "OfflineRun":
        records = _finished_records(folder)
        config, summary = {}, {}
        for record in records:
            config |= decode_items(record.run.config.update) | decode_items(record.config.update)
            summary |= decode_items(record.summary.update)
        return cls(
            [decode_items(r.history.item) for r in records if r.HasField("history")], config, summary,
            {r.artifact.type: r.artifact for r in records if r.HasField("artifact")},
            next(r.exit.exit_code for r in records if r.HasField("exit")),
            next(folder.glob("wandb/*run-*/files")),
            "".join(r.output_raw.line for r in records if r.HasField("output_raw")),
        )  # fmt: skip

    def values(self, key: str) -> list[Any]:
        return [row[key] for row in self.history if key in row]
