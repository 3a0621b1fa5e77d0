"""Answers to take home: table, CSV, JSON, and pictures with the answers drawn in. All made in memory."""

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from fer.app.judging import Judged
from fer.app.parts.images import boxed, to_jpeg
from fer.bundle.card import model_name
from fer.predict import Predictor

Rows = list[dict[str, Any]]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would compute


def table(judged: Sequence[Judged]) -> Rows:
    """Return a row a face: picture, number, answer, place in pixels, and each emotion's probability."""
    return [
        {"picture": one.name, "face": number, **_answer(answer)}
        for one in judged
        for number, answer in enumerate(one.predictions, 1)
    ]


def _answer(answer: Any) -> dict[str, Any]:
    told = answer.to_dict()
    left, top, width, height = told["box"]
    place = {"left": left, "top": top, "width": width, "height": height}
    first = {name: told[name] for name in ("label", "confidence", "uncertain")}
    return {"emotion": first.pop("label"), **first, **told["probabilities"], **place}


def to_csv(rows: Rows) -> str:
    """Return a table as CSV. A name that a spreadsheet would compute gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["picture"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def to_json(judged: Sequence[Judged], predictor: Predictor) -> str:
    """Return the answers as fer-predict writes them, an entry a picture."""
    model = model_name(predictor.card)
    entries = [
        {
            "file": one.name,
            "size": one.size,
            "faces": [answer.to_dict() for answer in one.predictions],
            "model": model,
            "detector": predictor.detector.name,
        }
        for one in judged
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False)


def to_zip(judged: Sequence[Judged]) -> bytes:
    """Return a ZIP file of the pictures, as large as they are shown, with the answers drawn in, as JPEG."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        taken: set[str] = set()
        for one in judged:
            archive.writestr(_unused(PurePath(one.name).stem, taken), to_jpeg(boxed(one, points=True), 92))
    return content.getvalue()


def _unused(stem: str, taken: set[str]) -> str:
    name, number = f"{stem}.jpg", 2
    while name.lower() in taken:  # some systems do not tell capitals apart
        name, number = f"{stem}_{number}.jpg", number + 1
    taken.add(name.lower())
    return name
