"""Downloads of the predictions on images, made in memory: CSV, JSON, and a ZIP file of annotated images."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal

import pandas as pd
import streamlit as st

from fer.app.components.images import annotated_image, to_jpeg
from fer.app.image import ImageAnalysis
from fer.predict.predictor import ImageResult, Predictor
from fer.predict.result_file import BOX_COLUMNS, json_entry

Rows = list[dict[str, Any]]
# Types of pandas that have missing values.
_NULLABLE = {"face": "Int64", "uncertain": "boolean", "rotation": "Int64"}
# A cell that starts with one of these would be run as a formula by spreadsheet programs.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def download_button(
    label: str, content: Any, name: str, mime: str, width: Literal["content", "stretch"] = "content"
) -> None:
    """Show a download button; a click does not rerun the page."""
    icon = ":material/download:"
    st.download_button(label, content, name, mime, on_click="ignore", icon=icon, width=width)


def result_rows(results: Sequence[ImageAnalysis]) -> Rows:
    """Return a row per face: file name, face number, prediction, probabilities, and box in pixels.

    An image without a face has a row with its name only.
    """
    return [row for result in results for row in _rows_of(result) or [{"picture": result.name}]]


def _rows_of(result: ImageAnalysis) -> Rows:
    return [
        {"picture": result.name, "face": number, "emotion": values["label"]}
        | {name: values[name] for name in ("confidence", "uncertain")}
        | values["probabilities"]
        | dict(zip(BOX_COLUMNS, values["box"], strict=True))
        | {"rotation": values["rotation"]}
        for number, values in enumerate((prediction.to_dict() for prediction in result.predictions), 1)
    ]


def to_table(rows: Rows) -> pd.DataFrame:
    """Return the rows as a table, in which integers and truth values stay such beside missing values."""
    columns = max(rows, key=len)
    table = pd.DataFrame(rows, columns=["picture", *(name for name in columns if name != "picture")])
    return table.astype({name: kind for name, kind in _NULLABLE.items() if name in table})


def to_csv(rows: Rows) -> str:
    """Return the rows as CSV. A file name that looks like a formula is prefixed with an apostrophe."""
    table = to_table(rows)
    table["picture"] = [f"'{name}" if name.startswith(_FORMULA_STARTS) else name for name in table["picture"]]
    return table.to_csv(index=False, lineterminator="\n")


def to_json(results: Sequence[ImageAnalysis], predictor: Predictor) -> str:
    """Return the predictions in the format of fer-predict, an entry per image."""
    entries = [
        json_entry(result.name, ImageResult(result.size, result.predictions), predictor) for result in results
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
