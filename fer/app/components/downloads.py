"""Downloads of the predictions on images, made in memory: CSV, JSON, and a ZIP file of annotated images."""

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from fer.app.components.images import annotated_image, to_jpeg
from fer.app.image import ImageAnalysis
from fer.bundle.card import model_name
from fer.predict.predictor import Prediction, Predictor

Rows = list[dict[str, Any]]
# A cell that starts with one of these would be run as a formula by spreadsheet programs.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def result_rows(results: Sequence[ImageAnalysis]) -> Rows:
    """Return a row per face: file name, face number, prediction, probabilities, and box in pixels."""
    return [
        {"picture": result.name, "face": number, **_prediction_cells(prediction)}
        for result in results
        for number, prediction in enumerate(result.predictions, 1)
    ]


def _prediction_cells(prediction: Prediction) -> dict[str, Any]:
    fields = prediction.to_dict()
    left, top, width, height = fields["box"]
    return {
        "emotion": fields["label"],
        "confidence": fields["confidence"],
        "uncertain": fields["uncertain"],
        **fields["probabilities"],
        "left": left,
        "top": top,
        "width": width,
        "height": height,
    }


def to_csv(rows: Rows) -> str:
    """Return the rows as CSV. A file name that looks like a formula is prefixed with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["picture"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _without_formula(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _without_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def to_json(results: Sequence[ImageAnalysis], predictor: Predictor) -> str:
    """Return the predictions in the format of fer-predict, an entry per image."""
    model = model_name(predictor.card)
    entries = [
        {
            "file": result.name,
            "size": result.size,
            "faces": [prediction.to_dict() for prediction in result.predictions],
            "model": model,
            "detector": predictor.detector.name,
        }
        for result in results
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False)


def to_zip(results: Sequence[ImageAnalysis]) -> bytes:
    """Return a ZIP file with the annotated images as JPEG, in display size."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        used: set[str] = set()
        for result in results:
            name = _unique_name(PurePath(result.name).stem, used)
            archive.writestr(name, to_jpeg(annotated_image(result, points=True), 92))
    return content.getvalue()


def _unique_name(stem: str, used: set[str]) -> str:
    # Compared in lower case: some file systems ignore case.
    name, number = f"{stem}.jpg", 2
    while name.lower() in used:
        name, number = f"{stem}_{number}.jpg", number + 1
    used.add(name.lower())
    return name
