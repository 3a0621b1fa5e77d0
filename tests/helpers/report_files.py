"""Read the files that fer-evaluate writes."""

import json
from pathlib import Path
from typing import Any


def numbers(folder: Path) -> dict[str, Any]:
    """Return the numbers of a report."""
    return json.loads((folder / "metrics.json").read_text())


def ledger(outputs: Path) -> list[dict[str, Any]]:
    """Return the entries of the ledger of test scores."""
    path = outputs / "test_ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
