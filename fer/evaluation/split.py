"""The images to score: a split of a data set, with labels in the label space of the model.

`data_config` returns the config that the data set is read with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.analysis.about import About
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, map_votes, mapping
from fer.core.paths import expand_user
from fer.data.config import YUNET, ConcatConfig, DataConfig, FER2013Config, with_former_groups
from fer.data.dataset import ROLES, EmotionData
from fer.data.duplicates import check_duplicates
from fer.data.duplicates.hashes import perceptual_hashes
from fer.data.emotions import choose_emotions
from fer.data.folds import hold_out
from fer.data.other_data import kind_and_path, with_labels
from fer.data.readers.factory import read_all_emotions
from fer.data.readers.ferplus import with_votes
from fer.data.sketch import make_sketch
from fer.data.splits import indices, is_carved, manifest, one_split
from fer.evaluation.faces import Photographs
from fer.training.config import RunConfig

# Roles of a split, and all of them together
SPLITS = (*ROLES, "all")


@dataclass(frozen=True)
class EvaluationSplit:
    """The images of a split that can be scored.

    Attributes:
        data: These images only, with the labels of their data set.
        index: int64 ``(N,)``, their rows in the data set.
        target: int64 ``(N,)``, class indices of the model.
        votes: float32 ``(N, K)`` over the emotions of the model, or ``None``.
        role: One of `SPLITS`.
        name: Published name of the split.
        in_test: bool ``(N,)``, whether each image is in the test split of the data set.
        left_out: Reason -> number of images of the split that were left out.
        absent: Emotions that the model can predict but that no image shows.
        faces: What was detected in them if they are photographs, whose faces are then in ``data``.
    """

    data: EmotionData
    index: np.ndarray
    target: np.ndarray
    votes: np.ndarray | None
    role: str
    name: str
    in_test: np.ndarray
    left_out: dict[str, int]
    absent: tuple[str, ...]
    faces: Photographs | None = None

    @property
    def has_test(self) -> bool:
        """Whether there are images of the data set's test split."""
        return bool(self.in_test.any())

    def test_images(self) -> str | None:
        """Return the SHA-256 of the test images, independent of what else is scored; ``None`` without any."""
        if not self.has_test:
            return None
        tests = self.data if self.in_test.all() else self.data.take(np.flatnonzero(self.in_test))
        part = _split_manifest(tests)
        return str(part.get("pixels_sha256") or part["files_sha256"])

    def sketch(self, mask: np.ndarray) -> list[str]:
        """Return a sketch (`fer.data.sketch`) of the perceptual hashes of the images in ``mask``.

        Images on disk are decoded for it.
        """
        if not mask.any():
            return []
        hashes = perceptual_hashes(self.data.take(np.flatnonzero(mask)).images)
        return make_sketch(value.tobytes() for value in hashes)

    def about(self, in_test: np.ndarray) -> About:
        """Return the facts about the images; ``in_test``, bool ``(N,)``, are known test images."""
        return About(
            data=self.data.source,
            split=self.name,
            role=self.role,
            has_test=bool(in_test.any()),
            test_images=self.test_images(),
            test_marks=tuple(self.sketch(in_test)),
            manifest=self.manifest(),
            left_out=self.left_out,
            absent=self.absent,
        )

    def manifest(self) -> dict[str, Any]:
        """Return the manifest: ``label_space``, ``count``, ``pixels_sha256``, ``labels_sha256``, …"""
        return _split_manifest(self.data)

    def sources(self) -> np.ndarray:
        """Return the file of each image, or ``row N``, str ``(N,)``."""
        if self.faces is not None:
            return self.faces.files
        files = getattr(self.data.images, "files", None)
        if files is not None:
            return np.array([files.name(row) for row in range(len(self.index))])
        if self.data.file_names is not None:
            return np.array(
                [name.decode(errors="backslashreplace") for name in self.data.file_names.tolist()]
            )
        return np.array([f"row {row}" for row in self.index])


def read_data(config: DataConfig) -> EmotionData:
    """Read a data set as in training: duplicates of other splits are dropped if ``drop_leaks`` was set.

    Of a choice of emotions, what the data lacks is ignored.
    """
    without_votes = config.replace(votes=False) if isinstance(config, FER2013Config) else config
    data = with_votes(read_all_emotions(without_votes, to_train=False), config)
    data = hold_out(choose_emotions(data, config.emotions, config.merge, to_train=False), config.fold)
    return check_duplicates(data, drop=True)[0] if config.drop_leaks else data


def select_split(data: EmotionData, role: str, labels: LabelSpace) -> EvaluationSplit:
    """Return the images of a split that can be scored, with targets in the label space of a model.

    Images of emotions that the model cannot predict are left out, because every prediction would be wrong.
    A prediction of an emotion without images counts as an error, because a model in use does not know either
    which emotions will not occur.

    Args:
        role: ``train``, ``val``, ``test``, or ``all`` of them.

    Raises:
        FerError: There is no such split, or no image of it shows an emotion that the model can predict.
    """
    every_role = [indices(data, one) for one in data.roles] if role == "all" else []
    rows = np.sort(np.concatenate(every_role)) if every_role else indices(data, role)
    target = np.where(data.targets[rows] < 0, -1, mapping(data.labels, labels)[data.targets[rows]])
    scored = rows[target >= 0]
    if not len(scored):
        raise FerError(
            f"{data.source}: expected images of an emotion that the model can predict "
            f"({', '.join(labels.names)}), got none among {len(rows):,} of {role} "
            f"({', '.join(data.labels.names)}). Score another data set."
        )
    target = target[target >= 0]
    name = data.roles.get(role, role)
    part = one_split(data.take(scored), name)
    votes = None if part.votes is None else map_votes(part.votes, data.labels, labels)
    in_test = np.isin(scored, indices(data, "test") if "test" in data.roles else ())
    absent = tuple(emotion for i, emotion in enumerate(labels.names) if not (target == i).any())
    left_out = _left_out(data, rows, labels)
    return EvaluationSplit(part, scored, target, votes, role, name, in_test, left_out, absent)


def _split_manifest(data: EmotionData) -> dict[str, Any]:
    """Return the manifest of images that are all in one split, with the role val."""
    full = manifest(data, hide_test_labels=False)
    return {"label_space": full["label_space"], "image_shape": full["image_shape"]} | full["splits"]["val"]


def _left_out(data: EmotionData, rows: np.ndarray, labels: LabelSpace) -> dict[str, int]:
    """Return reason -> number of images. The reasons are keys of metrics.json."""
    targets = data.targets[rows]
    unknown = [i for i, emotion in enumerate(data.labels.names) if emotion not in labels.names]
    counts = {
        f"{data.labels.names[i]}, which the model cannot say": int((targets == i).sum()) for i in unknown
    }
    counts["without a label"] = int((targets < 0).sum())
    return {reason: number for reason, number in counts.items() if number}


def default_role(data: EmotionData) -> str:
    """Return the split of another data set that is scored by default.

    Validation, or what there is without it: the test split, or all images of a data set without splits. A
    carved validation split of such a data set is not used.
    """
    published = [role for role in data.roles if role != "val" or not is_carved(data)]
    if published == ["train"]:
        return "all"
    return "val" if "val" in data.roles else "test"


def data_config(
    config: RunConfig,
    path: str | None = None,
    other: str | None = None,
    labels: Sequence[str] | None = None,
) -> DataConfig:
    """Return the config of the data to score.

    Args:
        config: Of the run.
        path: New path of its data; ``None`` if it has not moved.
        other: ``kind:path`` of another data set, as `fer.data.other_data.kind_and_path` takes it. It is read
            with the options of the run if that was trained on the same kind, otherwise with the defaults of
            `fer.data.config`. Emotions that the run merges are merged in it, too.
        labels: Emotions of the numbers in ``other``, in ascending order; ``None`` if it has names.

    Raises:
        FerError: The kind is unknown, both are given, or the run's data has no single path to replace.
    """
    if other is None:
        if labels is not None:
            raise FerError("--labels: expected --data with it, got none. Name the data set with --data.")
        own = with_former_groups(config.data)
        return own if path is None else _with_path(own, path)
    if path is not None:
        raise FerError(
            "--path and --data: expected one of them, got both. --path is the new path of the data "
            "of the run, --data is another data set."
        )
    kind, new_path = kind_and_path(other)
    trained_on = config.datamodule
    if trained_on is not None and trained_on.name == kind:
        # Images of emotions that the run left out are counted when the split is selected.
        same_kind = _with_path(with_former_groups(trained_on), new_path)
        same_kind = same_kind.replace(emotions=None, landmarks=_other_landmarks(trained_on))
        return with_labels(same_kind, labels)
    values = {"name": kind, "path": str(expand_user(new_path)), "merge": trained_on and trained_on.merge}
    values["landmarks"] = trained_on and _other_landmarks(trained_on)
    return with_labels(DataConfig.create(values, config.model.image_size), labels)


def _other_landmarks(trained_on: DataConfig) -> str | None:
    """Return how another data set is aligned: by YuNet if that of the run was, by whatever landmarks."""
    sources = trained_on.sources if isinstance(trained_on, ConcatConfig) else []
    return YUNET if any(config.landmarks for config in (trained_on, *sources)) else None


def _with_path(config: DataConfig, path: str) -> DataConfig:
    if "path" not in type(config).model_fields:
        raise FerError(
            f"--path {path}: expected a run whose data has a single path, got one trained on "
            f"{config.name}. Omit --path, or score another data set with --data kind:path."
        )
    return config.replace(path=str(expand_user(path)))
