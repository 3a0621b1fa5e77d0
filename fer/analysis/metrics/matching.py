"""Match the images that several models were evaluated on, under each set of labels of these images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.analysis.metrics.merging import merge_alike
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, mapping
from fer.core.text import agree, counted


@dataclass(frozen=True)
class MatchedImages:
    """Images that all models were evaluated on, under one set of labels.

    Attributes:
        name: Name of the label source: data file and label space.
        labels: The K emotions that all models can predict.
        target: int64 ``(N,)``.
        probs: For each model float32 ``(N, K)``, over these emotions and summing to 1.
        notes: Remarks for the reader on images and emotions that are left out.
        rows: int64 ``(N,)``, the rows of these images in the predictions of the first model.
    """

    name: str
    labels: LabelSpace
    target: np.ndarray
    probs: list[np.ndarray]
    notes: list[str]
    rows: np.ndarray


def images_sha256(predictions: Predictions) -> str:
    """Return the hash of the images, in their order, from the manifest."""
    manifest = predictions.about.manifest
    return str(manifest.get("pixels_sha256") or manifest["files_sha256"])


def match_images(
    tables: Sequence[Predictions], keys: Sequence[np.ndarray] | None = None
) -> list[MatchedImages]:
    """Match the images of several predictions.

    Args:
        tables: Two or more.
        keys: For each, the identity of its images, str or bytes ``(N,)``; ``None`` where all have the same
            images in the same order.

    Returns:
        One item per set of labels: the images of FER2013 have two, those of FER2013 and of FER+. All items
        have the same images: those that all models were evaluated on, and all of whose labels are emotions
        that every model can predict. Emotions that some models merge are merged for all.

    Raises:
        FerError: The images differ, no emotion or image is common to all, or one name stands for different
            emotions.
    """
    tables, merge_notes = merge_alike(tables)
    rows = [np.arange(len(tables[0]))] * len(tables) if keys is None else _common_rows(tables, keys)
    labels = _common_labels(tables)
    targets = [
        mapping(table.labels, labels)[table.target[common]]
        for table, common in zip(tables, rows, strict=True)
    ]
    usable = np.logical_and.reduce([target >= 0 for target in targets])
    if not usable.any():
        raise FerError(
            "RUNS: expected common images labelled with an emotion that every model can predict, got none. "
            "Compare runs with the same label space."
        )
    probs = []
    for table, common in zip(tables, rows, strict=True):
        restricted = table.probs[common[usable]][:, mapping(labels, table.labels)]
        total = restricted.sum(1, keepdims=True)
        probs.append(restricted / np.maximum(total, np.finfo(np.float32).tiny))
    notes = merge_notes + _notes(tables, labels, len(rows[0]), int(usable.sum()))
    matched: dict[bytes, MatchedImages] = {}
    for table, target in zip(tables, targets, strict=True):
        name = f"{Path(table.about.data).name} ({table.about.manifest['label_space']['name']})"
        usable_target = target[usable]
        images = MatchedImages(name, labels, usable_target, probs, notes, rows[0][usable])
        matched.setdefault(usable_target.tobytes(), images)
    return list(matched.values())


def _common_rows(tables: Sequence[Predictions], keys: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the rows of the common images in each table; of duplicates in a table, the first."""
    row_maps: list[dict[str | bytes, int]] = [{} for _ in keys]
    for row_map, table_keys in zip(row_maps, keys, strict=True):
        for row, key in enumerate(table_keys.tolist()):
            row_map.setdefault(key, row)
    smallest = min(row_maps, key=len)
    for table, row_map in zip(tables, row_maps, strict=True):
        if not smallest.keys() <= row_map.keys():
            num_common = len(smallest.keys() & row_map.keys())
            other = tables[row_maps.index(smallest)]
            raise FerError(
                f"{table.about.run} and {other.about.run}: expected the same images, got "
                f"{len(table):,} and {len(other):,}, of which {num_common:,} are in both. Compare runs of "
                "one data set and split."
            )
    return [np.array([row_map[key] for key in smallest]) for row_map in row_maps]


def _common_labels(tables: Sequence[Predictions]) -> LabelSpace:
    """Return the emotions that all models can predict, in the order of the first."""
    first = tables[0].labels
    names = tuple(name for name in first.names if all(name in table.labels.names for table in tables))
    if len(names) < 2:
        spaces = ", ".join(sorted({table.labels.name for table in tables}))
        raise FerError(
            f"Label spaces {spaces}: expected at least 2 emotions in common, got {len(names)}. "
            "Compare runs with the same label space."
        )
    return first if names == first.names else LabelSpace("common emotions", names)


def _notes(tables: Sequence[Predictions], labels: LabelSpace, common: int, usable: int) -> list[str]:
    notes = []
    sizes = sorted({len(table) for table in tables})
    if len(sizes) > 1:
        counts = " and ".join(f"{size:,}" for size in sizes)
        notes.append(
            f"The runs have {counts} images of this split; only the {common:,} common images are used."
        )
    dropped = sorted({name for table in tables for name in table.labels.names} - set(labels.names))
    if dropped:
        notes.append(
            f"Not all models can predict {', '.join(dropped)}; the other probabilities are rescaled to sum "
            "to 1."
        )
    if usable < common:
        count = common - usable
        what = f"{counted(count, 'image')} of emotions that not all models can predict"
        notes.append(f"{what} {agree(count, 'is', 'are')} left out.")
    return notes
