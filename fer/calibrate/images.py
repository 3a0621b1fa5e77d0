"""The images of a calibration: labelled faces as a bundle takes them, and which of them belong together."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.bundle.card import Card, trainings
from fer.core.errors import FerError
from fer.core.image_io import read_image
from fer.core.labels import mapping
from fer.core.paths import expand_user
from fer.core.registry import READERS
from fer.core.signature import accepted
from fer.core.threads import available_cores
from fer.data.config import DataConfig, ImageFilesConfig
from fer.data.dataset import EmotionData
from fer.data.duplicates import find_duplicates, merge_groups
from fer.data.groups import find_groups
from fer.data.image_files import ImageFiles
from fer.data.other_data import in_own_options, kind_and_path, with_labels
from fer.data.splits import indices, joint_hash, manifest, one_split
from fer.faces.base import Detector, Face
from fer.faces.crop import crop_faces
from fer.faces.rotation import find_faces
from fer.predict.sources import list_image_files

SPLITS = ("train", "val", "all")
# Below that, a temperature has an interval from half to twice itself.
MIN_IMAGES = 50


@dataclass(frozen=True)
class LabelledFaces:
    """Labelled faces.

    Attributes:
        faces: uint8 ``(N, S, S, 3)``, RGB, cropped as the model needs them.
        target: int64 ``(N,)``, class numbers of the model.
        groups: int64 ``(N,)``, equal for images of one person or video, and for copies.
        rule: What the groups are, e.g. ``CK+ subjects, near copies``.
        split: Name of the data and of its split.
        manifest: Counts and hashes, as `fer.data.splits.manifest` describes a split.
        left_out: Reason -> number of images.
        detector: Name of the face detector; None for images that are cropped faces.
        selected_model: Whether they are the validation images that selected the model.
    """

    faces: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    rule: str
    split: str
    manifest: dict[str, Any]
    left_out: dict[str, int]
    detector: str | None
    selected_model: bool


def read_labelled_faces(
    card: Card,
    data: str,
    split: str | None = None,
    labels: Sequence[str] | None = None,
    group: str = "auto",
    detector: Detector | None = None,
) -> LabelledFaces:
    """Read labelled images as a bundle takes them.

    Args:
        card: The card of the bundle.
        data: ``kind:path`` with one of `fer.data.other_data.KINDS`.
        split: One of `SPLITS`; None: val or, without a published one, all. The test split of a data set that
            has others is never used.
        labels: Emotions of the numbers in ``data``, in ascending order; None if it has names.
        group: What keeps images together, as ``datamodule.group``.
        detector: For photographs: the largest face of each is used; None: images are cropped faces.

    Raises:
        FerError: The data cannot be read, has no such split, is what the model was trained on, or has too few
            images.
    """
    config = _config(card, data, labels, group)
    read = _read(config)
    rows, name = _select(read, split)
    target = np.where(read.targets[rows] < 0, -1, mapping(read.labels, card.labels)[read.targets[rows]])
    left_out = {"of an emotion that the model does not have, or without a label": int((target < 0).sum())}
    rows, target = rows[target >= 0], target[target >= 0]
    _check_number(data, len(rows), "with an emotion of the model")
    images, rule, groups = read.take(rows).images, "", None
    if isinstance(images, ImageFiles):
        names = [images.files.name(row) for row in range(len(images))]
        found = find_groups(read.take(rows), names, np.ones(len(rows), bool), group)
        rule, groups = (found.rule, found.numbers) if found else ("", None)
    elif group not in ("auto", "none"):
        raise FerError(f"--group {group}: expected image files with it, got pixels of faces. Omit --group.")
    pixels, kept = _pixels(images, card, detector)
    left_out["in which no face was detected"] = int((~kept).sum())
    _check_number(data, int(kept.sum()), "with a detected face")
    part = replace(read.take(rows[kept]), images=pixels, groups=None)
    _check_not_trained_on(card, data, part)
    described = manifest(one_split(part, name), hide_test_labels=False)["splits"]["val"]
    joined, with_copies = _with_copies(pixels, None if groups is None else groups[kept])
    faces = pixels if pixels.shape[3] == 3 else np.repeat(pixels, 3, axis=3)
    return LabelledFaces(
        np.ascontiguousarray(faces),
        target[kept],
        joined,
        ", ".join(filter(None, [rule, with_copies])),
        f"{expand_user(kind_and_path(data)[1]).resolve().name} ({config.name}, {name})",
        described,
        {reason: count for reason, count in left_out.items() if count},
        None if detector is None else detector.name,
        _is_split(card, "val", described),
    )


def list_unlabelled(folder: str) -> list[Path]:
    """Return the images without labels of ``--priors``, in a folder and its subfolders.

    Raises:
        FerError: There is no such folder, or it has too few images.
    """
    try:
        files = list_image_files(folder)
    except FerError as error:
        raise FerError(f"--priors {error}") from error
    _check_number(f"--priors {folder}", len(files), "in it")
    return files


def read_unlabelled(card: Card, folder: str, files: Sequence[Path], detector: Detector) -> np.ndarray:
    """Return the faces of images without labels, uint8 ``(N, S, S, 3)``: the largest face of each.

    Args:
        card: The card of the bundle.
        folder: Their folder, for the message.
        files: From `list_unlabelled`.
        detector: Finds the faces, or takes each image as one.

    Raises:
        FerError: There are too few faces.
    """
    crops = [crop for crop in _crops(files, card, detector) if crop is not None]
    _check_number(f"--priors {folder}", len(crops), "with a detected face")
    return np.stack(crops)


def _config(card: Card, data: str, labels: Sequence[str] | None, group: str) -> DataConfig:
    kind, path = kind_and_path(data)
    config = DataConfig.create({"name": kind, "path": str(expand_user(path))}, card.image_size)
    if isinstance(config, ImageFilesConfig):
        config = config.replace(color=_is_colour(card), group=group)
    return with_labels(config, labels)


def _is_colour(card: Card) -> bool:
    shape = (card.training.get("manifest") or {}).get("image_shape") or (0, 0, 1)
    return bool(shape[2] == 3)


def _read(config: DataConfig) -> EmotionData:
    """Return the data as published: no validation split is carved out, and files are not yet decoded."""
    entry = READERS.get(config.name)
    try:
        return entry.build(**accepted(entry.build, config.options()))
    except FerError as error:
        raise in_own_options(error) from None


def _select(data: EmotionData, split: str | None) -> tuple[np.ndarray, str]:
    """Return the rows of a split, and its published name."""
    others = [role for role in data.roles if role != "test"] or list(data.roles)
    if split is None:
        split = "val" if "val" in data.roles else "all"
    if split == "all":
        rows = np.sort(np.concatenate([indices(data, role) for role in others]))
        return rows, " and ".join(data.roles[role] for role in others)
    return indices(data, split), data.roles[split]


def _pixels(
    images: np.ndarray | ImageFiles, card: Card, detector: Detector | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels ``(M, S, S, C)`` at the size of the model, and which images have them, bool ``(N,)``."""
    side = card.image_size
    if not isinstance(images, ImageFiles):
        if detector is not None:
            raise FerError("--faces: expected photographs on disk, got pixels of faces. Omit --faces.")
        if images.shape[1:3] != (side, side):
            images = _resized(images, side)
        return np.asarray(images), np.ones(len(images), bool)
    if detector is not None:
        crops = _crops([Path(images.files.path(row)) for row in range(len(images))], card, detector)
        kept = np.array([crop is not None for crop in crops])
        found = [crop for crop in crops if crop is not None]
        return np.stack(found) if found else np.empty((0, side, side, 3), np.uint8), kept
    pixels, readable = images.read_all()
    if not readable.all():
        images.report_unreadable(np.flatnonzero(~readable), nothing_left=not readable.any())
    return pixels, np.ones(len(pixels), bool)


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    method = cv2.INTER_AREA if images.shape[1] > side else cv2.INTER_LINEAR
    resized = [cv2.resize(image, (side, side), interpolation=method) for image in images]
    return np.stack(resized).reshape(len(images), side, side, images.shape[3])


def _crops(paths: Sequence[Path], card: Card, detector: Detector) -> list[np.ndarray | None]:
    """Return the crop of each photograph, uint8 ``(S, S, 3)``; None without a face."""
    with ThreadPoolExecutor(available_cores()) as threads:
        return list(threads.map(lambda path: _crop(path, card, detector), paths))


def _crop(path: Path, card: Card, detector: Detector) -> np.ndarray | None:
    """Return the largest face of a photograph as the model needs it; None without a face."""
    image = read_image(path)
    faces: list[Face] = find_faces(detector, image)
    return crop_faces(image, faces[:1], card.crop, card.image_size)[0] if faces else None


def _with_copies(pixels: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, str]:
    """Return groups that also keep near copies together, and what was added to them."""
    copies = find_duplicates(pixels).groups
    added = "near copies" if len(np.unique(copies)) < len(copies) else ""
    if groups is None:
        return copies, added
    first_of = np.unique(groups, return_index=True)[1][np.unique(groups, return_inverse=True)[1]]
    edges = np.column_stack([np.arange(len(groups)), first_of, np.zeros(len(groups), np.int64)])
    return merge_groups(copies, edges), added


def _check_number(data: str, count: int, what: str) -> None:
    if count < MIN_IMAGES:
        raise FerError(
            f"{data}: expected at least {MIN_IMAGES} images {what} to fit on, got {count}. Add images."
        )


def _check_not_trained_on(card: Card, data: str, part: EmotionData) -> None:
    """Refuse the training images: a model is more certain of what it has seen than of new images.

    Those of a split, and those from which a validation split was carved out.
    """
    splits = manifest(part, hide_test_labels=False)["splits"].values()
    carved = {trained_on.get("carved_sha256") for trained_on in _manifests(card)}
    if any(_is_split(card, "train", one) for one in splits) or joint_hash(part) in carved:
        raise FerError(
            f"{data}: expected images that the model was not trained on, got its training images. "
            "Calibrate on others."
        )


def _is_split(card: Card, role: str, described: Mapping[str, Any]) -> bool:
    """Return whether images are those of a split of the training of the model, or of a member of it."""
    splits = [trained_on.get("splits") or {} for trained_on in _manifests(card)]
    known = {one.get(role, {}).get("pixels_sha256") for one in splits} - {None}
    return described.get("pixels_sha256") in known


def _manifests(card: Card) -> list[Mapping[str, Any]]:
    """Return the manifest of the training of the model, or of each member of it."""
    return [training.get("manifest") or {} for training in trainings(card)]
