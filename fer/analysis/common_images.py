"""The images that several models were scored on, lined up; under each set of labels that they came with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.analysis.predictions import Predictions
from fer.errors import FerError
from fer.labels import LabelSpace, mapping


@dataclass(frozen=True)
class Truth:
    """Images that all models were scored on, under one set of labels.

    Attributes:
        name: Whose labels they are.
        labels: The K emotions that all models can say.
        target: int64 ``(N,)``.
        probs: Of each model float32 ``(N, K)``, over these emotions and summing to 1.
        notes: What a reader must know: images and emotions that are left out.
    """

    name: str
    labels: LabelSpace
    target: np.ndarray
    probs: list[np.ndarray]
    notes: list[str]


def pixels_of(predictions: Predictions) -> str:
    """Return the hash that names the images, in their order."""
    manifest = predictions.about["manifest"]
    return str(manifest.get("pixels_sha256") or manifest["files_sha256"])


def line_up(tables: Sequence[Predictions], keys: Sequence[np.ndarray] | None = None) -> list[Truth]:
    """Line up the images of several predictions.

    Args:
        tables: Two or more.
        keys: Of each, what tells its images apart, str or bytes ``(N,)``; ``None`` where all are of the same
            images in the same order.

    Returns:
        One of each set of labels: FER2013's images have two, its own and FER+'s. All have the same images:
        those that all models were scored on and whose labels, all of them, are emotions that all can say.

    Raises:
        FerError: The images are others, or no emotion or image is common to all.
    """
    rows = [np.arange(len(tables[0]))] * len(tables) if keys is None else _common_rows(tables, keys)
    labels = _common_labels(tables)
    targets = [_translate(table, row, labels) for table, row in zip(tables, rows, strict=True)]
    usable = np.logical_and.reduce([target >= 0 for target in targets])
    if not usable.any():
        raise FerError("The runs have no image in common that is labelled with an emotion that all can say.")
    probs = [_restrict(table, row[usable], labels) for table, row in zip(tables, rows, strict=True)]
    notes = _notes(tables, labels, len(rows[0]), int(usable.sum()))
    truths: dict[bytes, Truth] = {}
    for table, target in zip(tables, targets, strict=True):
        name = f"{Path(str(table.about['data'])).name} ({table.about['manifest']['label_space']['name']})"
        truths.setdefault(target[usable].tobytes(), Truth(name, labels, target[usable], probs, notes))
    return list(truths.values())


def _common_rows(tables: Sequence[Predictions], keys: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the rows of the common images in each table; of equal images in a table the first counts."""
    assert [len(key) for key in keys] == [len(table) for table in tables]
    firsts = [_first_rows(key) for key in keys]
    smallest = min(firsts, key=len)
    for table, first in zip(tables, firsts, strict=True):
        if not smallest.keys() <= first.keys():
            common = len(smallest.keys() & first.keys())
            other = tables[firsts.index(smallest)]
            names, sizes = (
                f"{table.about['run']} and {other.about['run']}",
                f"{len(table):,} and {len(other):,}",
            )
            raise FerError(
                f"{names} were scored on other images: {sizes}, of which {common:,} are in both. "
                "Compare runs of one data set and split."
            )
    return [np.array([first[key] for key in smallest]) for first in firsts]


def _first_rows(key: np.ndarray) -> dict[str | bytes, int]:
    """Return the row of each image, in their order."""
    rows: dict[str | bytes, int] = {}
    for row, mark in enumerate(key.tolist()):
        rows.setdefault(mark, row)
    return rows


def _common_labels(tables: Sequence[Predictions]) -> LabelSpace:
    """Return the emotions that all models can say, in the order of the first."""
    first = tables[0].labels
    names = tuple(name for name in first.names if all(name in table.labels.names for table in tables))
    if len(names) < 2:
        spaces = ", ".join(sorted({table.labels.name for table in tables}))
        raise FerError(
            f"The runs' label spaces ({spaces}) have {len(names)} emotions in common: nothing to compare."
        )
    return first if names == first.names else LabelSpace("common emotions", names)


def _translate(table: Predictions, rows: np.ndarray, labels: LabelSpace) -> np.ndarray:
    return mapping(table.labels, labels)[table.target[rows]]


def _restrict(table: Predictions, rows: np.ndarray, labels: LabelSpace) -> np.ndarray:
    """Return the probabilities of the common emotions, scaled to sum to 1."""
    probs = table.probs[rows][:, mapping(labels, table.labels)]
    return probs / np.maximum(probs.sum(1, keepdims=True), np.finfo(np.float32).tiny)


def _notes(tables: Sequence[Predictions], labels: LabelSpace, common: int, usable: int) -> list[str]:
    notes = []
    sizes = sorted({len(table) for table in tables})
    if len(sizes) > 1:
        shown = " and ".join(f"{size:,}" for size in sizes)
        notes.append(
            f"The runs' sets hold {shown} images of this split; the {common:,} that are in all count."
        )
    dropped = sorted({name for table in tables for name in table.labels.names} - set(labels.names))
    if dropped:
        notes.append(
            f"Not all models can say {', '.join(dropped)}: its probability is shared out to the others."
        )
    if usable < common:
        notes.append(f"{common - usable:,} images of emotions that not all can say are left out.")
    return notes
