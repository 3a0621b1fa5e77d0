"""Teachers of a distillation: their answers to the training images, and what they were trained on.

A teacher is a run, a checkpoint, or an exported model (a bundle). Its answers are the probabilities of each
image and of its mirror image, averaged. They are computed once and kept in the cache folder.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.bundle.files import CARD, Bundle, sha256
from fer.bundle.registry import find_bundle
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.core.paths import expand_user
from fer.data.cache import cached_array
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData
from fer.data.folds import assign_folds, parse_fold
from fer.models.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from fer.models.inference import infer
from fer.training.config import RunConfig
from fer.training.transfer import find_leaks

_KEY = "distill.teachers"
# Version of the stored answers. Increase it to compute them again.
_VERSION = 1
_BATCH_SIZE = 256


@dataclass(frozen=True)
class Lesson:
    """What the teachers of a run give it.

    Attributes:
        probs: float32 ``(N, K)``, mean probabilities over the teachers for each training image, in the
            emotions of the run; rows sum to 1.
        records: For each teacher ``path``, ``sha256``, ``data`` (names of its data sets), ``manifest`` of its
            data, ``init_from``, and ``teachers`` of its own, if any.
        messages: Lines to print: each teacher, and warnings of leaks.
    """

    probs: np.ndarray
    records: list[dict[str, Any]]
    messages: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Teacher:
    """A model that answers.

    Attributes:
        labels: Its emotions.
        record: As in `Lesson`.
        answer: Returns probabilities ``(N, K)`` for images.
        fold: The part of the training split that it was not trained on (``datamodule.fold``), and the only
            one that it answers; None: it answers all images.
    """

    labels: LabelSpace
    record: dict[str, Any]
    answer: Callable[[EmotionData], np.ndarray]
    fold: str | None = None


def teach(
    teachers: Sequence[str],
    data: EmotionData,
    manifest: Mapping[str, Any],
    merge: Mapping[str, Sequence[str]] | None = None,
) -> Lesson:
    """Return the answers of the teachers to training images.

    Teachers that were trained without a fold answer the images of that fold only, so that all answers are
    out-of-fold (cross-fitting).

    Args:
        teachers: Run folders, checkpoints, folders of bundles, names of models, or folders with several runs.
        data: The training images, in the order of the result.
        manifest: Manifest of the run's data: its hash of the training images identifies stored answers.
        merge: Emotions that the run merges: new emotion -> emotions. A teacher's probabilities are summed.

    Raises:
        FerError: A teacher is missing or damaged, or lacks an emotion of the run; or an image has no teacher,
            because a fold is missing.
    """
    total = np.zeros((len(data), len(data.labels)), np.float32)
    counts = np.zeros((len(data), 1), np.float32)
    records: list[dict[str, Any]] = []
    messages: list[str] = []
    for name in _expand(teachers):
        teacher = _load(name)
        rows = _unseen_rows(teacher.fold, data)
        stored = _answers(teacher, data.take(rows), manifest)
        total[rows] += _translate(stored, teacher.labels, data.labels, merge or {}, name)
        counts[rows] += 1
        records.append(teacher.record)
        messages += _describe(teacher, manifest)
    if missing := int((counts == 0).sum()):
        raise FerError(
            f"{_KEY}: expected runs of all folds, got none for {missing:,} of {len(data):,} training images. "
            "Name the runs of all folds, or the folder of their grid."
        )
    return Lesson(total / counts, records, messages)


def _expand(teachers: Sequence[str]) -> list[str]:
    """Return the teachers; in place of a folder with several runs, such as a grid, these runs."""
    expanded = []
    for name in teachers:
        path = expand_user(name)
        is_one = not path.is_dir() or find_checkpoint(path) is not None or (path / CARD).is_file()
        runs = [] if is_one else [str(one) for one in sorted(path.iterdir()) if find_checkpoint(one)]
        expanded += runs or [name]
    return expanded


def _unseen_rows(fold: str | None, data: EmotionData) -> np.ndarray:
    """Return the rows of the images that a teacher without this fold answers, int64 ``(n,)``."""
    rows = np.arange(len(data))
    if fold is None:
        return rows
    number, count = parse_fold(fold)
    return rows[assign_folds(data, rows, count) == number]


def _describe(teacher: _Teacher, manifest: Mapping[str, Any]) -> Iterator[str]:
    known = ", ".join(teacher.record["data"]) or "unknown data"
    part = f" without fold {teacher.fold}, which it answers" if teacher.fold else ""
    yield f"{_KEY}: {teacher.record['path']}, trained on {known}{part}"
    yield from (f"WARNING: {_KEY}: {leak}" for leak in find_leaks(teacher.record, manifest))


def learn_from_teachers(
    config: RunConfig, datamodule: EmotionDataModule, checkpoint: Path | None
) -> Lesson | None:
    """Give the data module the answers of the run's teachers; None without ``distill``.

    Args:
        config: The config of the run.
        datamodule: Its data.
        checkpoint: The checkpoint of a run that is resumed.

    Raises:
        FerError: As `teach`; or a teacher of a resumed run has other weights than at its start.
    """
    if config.distill is None:
        return None
    train = datamodule.data.take(datamodule.rows["train"])
    lesson = teach(config.distill.teachers, train, datamodule.manifest, config.data.merge)
    if checkpoint is not None:
        _check_same(load_checkpoint(checkpoint).teachers, lesson.records)
    datamodule.teacher = lesson.probs
    return lesson


def _check_same(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> None:
    for old, new in zip(before, now, strict=True):
        if old["sha256"] != new["sha256"]:
            raise FerError(
                f"{_KEY}: {new['path']}: expected the model that the run started with, got other weights. "
                "Restore it, or start a new run."
            )


def _load(name: str) -> _Teacher:
    path = expand_user(name)
    if path.is_dir() and (path / CARD).is_file():
        return _bundle_teacher(find_bundle(str(path)))
    checkpoint = path if path.suffix == ".ckpt" else find_checkpoint(path)
    if checkpoint is not None:
        return _checkpoint_teacher(checkpoint, path.absolute())
    if path.exists():
        raise FerError(
            f"{_KEY}: expected a run folder, a checkpoint or a bundle, but {path} is none of these. Use the "
            "folder that fer-train or fer-export printed."
        )
    try:
        return _bundle_teacher(find_bundle(name))
    except FerError as error:
        raise FerError(f"{_KEY}: {name}: expected a run folder, a checkpoint or a bundle. {error}") from None


def _checkpoint_teacher(checkpoint: Path, path: Path) -> _Teacher:
    """Return the teacher of a checkpoint; ``path`` names it: a run folder or the file."""
    trained = load_checkpoint(checkpoint)
    record = {
        "path": str(path),
        "sha256": sha256(checkpoint),
        "data": trained.dataset_names,
        "manifest": trained.manifest,
        "init_from": trained.init_from,
        "teachers": trained.teachers,
    }
    fold = (trained.config.get("datamodule") or {}).get("fold")
    return _Teacher(trained.labels, record, lambda data: _checkpoint_answers(trained, data), fold)


def _checkpoint_answers(trained: Checkpoint, data: EmotionData) -> np.ndarray:
    outputs = infer(trained.model, data, trained.network.image_size, _BATCH_SIZE, tta="flip")
    assert outputs.tta_probs is not None
    # Images that cannot be read are in no batch.
    probs = np.full((len(data), len(trained.labels)), 1 / len(trained.labels), np.float32)
    probs[outputs.rows] = outputs.tta_probs
    return probs


def _bundle_teacher(bundle: Bundle) -> _Teacher:
    card, training = bundle.card, bundle.card.training
    record = {
        "path": str(bundle.folder),
        "sha256": card.model["sha256"],
        "data": [training["data"]] if training.get("data") else [],
        "manifest": training.get("manifest"),
        "init_from": training.get("init_from"),
        "teachers": training.get("teachers") or [],
    }
    return _Teacher(card.labels, record, lambda data: _bundle_answers(bundle, data))


def _bundle_answers(bundle: Bundle, data: EmotionData) -> np.ndarray:
    classifier, side = OnnxClassifier(bundle), bundle.card.image_size
    parts = []
    for start in range(0, len(data), _BATCH_SIZE):
        images = data.images[start : start + _BATCH_SIZE]
        faces = np.stack([_to_face(image, side) for image in images])
        parts.append((classifier(faces) + classifier(faces[:, :, ::-1])) / 2)
    return np.concatenate(parts)


def _to_face(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image, uint8 ``(H, W, 1 or 3)``, as the input of a bundle, uint8 RGB ``(side, side, 3)``."""
    if image.shape[:2] != (side, side):
        shrinks = max(image.shape[:2]) > side
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, (side, side), interpolation=method).reshape(side, side, -1)
    return np.broadcast_to(image, (side, side, 3))


def _answers(teacher: _Teacher, data: EmotionData, manifest: Mapping[str, Any]) -> np.ndarray:
    """Return the answers of a teacher from the cache, or compute and store them."""
    train = manifest["splits"]["train"]
    images = train.get("pixels_sha256") or train["files_sha256"]
    facts = [_VERSION, teacher.record["sha256"], teacher.fold, images, len(data), data.images.shape[1:]]
    key = json.dumps(facts)
    name = f"teacher-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"

    def answer() -> np.ndarray:
        path = teacher.record["path"]
        print(f"{_KEY}: {path} answers {len(data):,} images; later runs read that from the cache.")
        return teacher.answer(data).astype(np.float32)

    return cached_array(name, (len(data), len(teacher.labels)), answer, _KEY, finite=True)


def _translate(
    probs: np.ndarray, source: LabelSpace, target: LabelSpace, merge: Mapping[str, Sequence[str]], name: str
) -> np.ndarray:
    """Return answers in the emotions of the run: float32 ``(N, K)``, rows sum to 1."""
    columns = []
    for emotion in target.names:
        members = [emotion] if emotion in source.names else [*merge.get(emotion, [])]
        known = [source.names.index(member) for member in members if member in source.names]
        if not known:
            raise FerError(
                f"{_KEY}: {name}: expected a teacher that knows {', '.join(target.names)}, got one of "
                f"{', '.join(source.names)}. It lacks {emotion}: choose another teacher, or the emotions "
                "with datamodule.emotions."
            )
        columns.append(probs[:, known].sum(1))
    answers = np.stack(columns, 1)
    total = answers.sum(1, keepdims=True)
    # An image that shows none of these emotions to the teacher: it does not know.
    return np.where(total > 1e-6, answers / np.maximum(total, 1e-6), 1 / len(target)).astype(np.float32)
