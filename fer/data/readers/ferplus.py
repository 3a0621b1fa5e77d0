"""Read FER+: the votes of ten annotators for FER2013's images (Barsoum et al. 2016).

``fer2013new.csv`` (``Usage,Image name,neutral,…,contempt,unknown,NF``) gives for each row of
``fer2013.csv``, in the same order, how many annotators chose each of eight emotions, "unknown", or NF (not a
face); see https://arxiv.org/abs/1608.01041. Labels follow these rules. The first two are those of the
authors' released code (https://github.com/microsoft/FERPlus):

1. An option with a single vote is treated as an outlier and set to 0.
2. The label is the option with more than half of the remaining votes; unknown and NF count as options.
   Images without such a majority, including all ties, are dropped ("no majority"). So are images whose
   majority is unknown or NF.
3. In the label space without contempt, images whose majority is contempt are dropped. They do not get their
   second choice as label.
4. ``votes`` are the remaining votes for the emotions of the label space, without unknown and NF, divided by
   their sum.

Emotions that are merged (``datamodule.merge``) are one option: their votes are added up before rule 1.

When the authors train on distributions, their code also keeps images without a majority, and of each image
only the strongest options, up to three quarters of its votes. Here all losses train on the same images, so
that they can be compared, and on all votes that rule 1 leaves. ``ambiguous`` adds the training images
without a majority whose strongest option is an emotion. A tie goes to the first option in FER+'s order, in
which the emotions come before unknown and NF. Validation and test images always have a majority, as in the
authors' code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer.core.errors import FerError
from fer.core.label_choice import choose_labels
from fer.core.labels import FER7, FERPLUS8, LabelSpace, mapping
from fer.core.paths import expand_user
from fer.data.config import DataConfig, FER2013Config
from fer.data.dataset import EmotionData
from fer.data.readers.fer2013 import USAGES, split_fields
from fer.data.readers.text_files import open_text

# Version of the output of this reader. Increase it to invalidate older caches.
VERSION = 1
FILENAME = "fer2013new.csv"
OPTIONS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf"
)  # fmt: skip
_UNKNOWN, _NO_FACE = OPTIONS.index("unknown"), OPTIONS.index("nf")
# Name of a merged emotion -> the emotions that it stands for.
Merge = Mapping[str, Sequence[str]]
_USAGE_NUMBERS = {usage.encode(): number for number, usage in enumerate(USAGES)}
_EXPECTED = f"FER+'s votes ({FILENAME}: columns Usage, Image name, neutral, …, unknown, NF)"


class Votes(NamedTuple):
    """The rows of ``fer2013new.csv``.

    Attributes:
        path: The file.
        usage: uint8 ``(N,)``, position in FER2013's ``USAGES``.
        counts: int64 ``(N, 10)``, votes for each of `OPTIONS`.
        lines: int64 ``(N,)``, line number of each row in the file, counted from 1.
    """

    path: Path
    usage: np.ndarray
    counts: np.ndarray
    lines: np.ndarray


def find_files(path: str | Path) -> tuple[Path, Path]:
    """Return the paths of FER2013's and FER+'s CSV files, given their folder or one of the two files."""
    path = expand_user(path)
    folder = path.parent if path.name == FILENAME else path
    if not folder.is_dir():
        return path, path.with_name(FILENAME)
    names = ("fer2013.csv", "icml_face_data.csv")
    existing = [folder / name for name in names if (folder / name).is_file()]
    return (existing or [folder / names[0]])[0], folder / FILENAME


def read_votes(path: str | Path) -> Votes:
    """Read ``fer2013new.csv``.

    Raises:
        FerError: The file is missing, is not a FER+ file, or is damaged; the message names the line.
    """
    path = expand_user(path)
    with open_text(path, _EXPECTED) as file:
        header, *lines = file.read().splitlines()
    columns = [_to_text(field).lower() for field in split_fields(header)]
    if any(columns.count(name) != 1 for name in ("usage", *OPTIONS)):
        expected = f"the columns Usage, {', '.join(OPTIONS)}, each once"
        raise _format_error(path, 1, expected, ", ".join(columns)[:200])
    pick = itemgetter(columns.index("usage"), *map(columns.index, OPTIONS))
    rows = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        fields = split_fields(line)
        if len(fields) != len(columns):
            raise _format_error(path, number, f"{len(columns)} columns", str(len(fields)))
        usage, *votes = pick(fields)
        if usage not in _USAGE_NUMBERS:
            raise _format_error(path, number, f"Usage {', '.join(USAGES)}", repr(_to_text(usage)))
        if not all(map(bytes.isdigit, votes)) or max(map(len, votes)) > 2:
            raise _format_error(path, number, "ten counts of votes", ", ".join(map(_to_text, votes)))
        rows.append([number, _USAGE_NUMBERS[usage], *map(int, votes)])
    if not rows:
        raise _format_error(path, 2, "rows of votes", "none")
    table = np.array(rows, dtype=np.int64)
    return Votes(path, table[:, 1].astype(np.uint8), table[:, 2:], table[:, 0])


def _to_text(field: bytes) -> str:
    return field.decode("utf-8", errors="replace")[:60]


def _format_error(path: Path, number: int, expected: str, got: str) -> FerError:
    return FerError(f"{path}, line {number}: expected {expected}, got {got}. Download the file again.")


def relabel(
    votes: Votes, images: EmotionData, contempt: bool, ambiguous: bool, merge: Merge | None = None
) -> EmotionData:
    """Return FER2013's images with FER+'s labels, by the rules in the module docstring.

    Rows are matched by their order, and their Usage must agree. Rows of a Usage that ``images`` does not have
    (some copies of FER2013 lack PrivateTest) are skipped in ``votes``.

    Args:
        votes: Output of `read_votes`.
        images: Output of `fer.data.readers.fer2013.read_fer2013`.
        contempt: Use eight emotions in FER+'s order; otherwise seven in FER2013's order, without contempt.
        ambiguous: Also train on images without a majority.
        merge: Name -> emotions whose votes are added up first. The first of them, in the order of the label
            space, stands for all, in labels and ``votes``.

    Returns:
        The images whose label is an emotion, with ``votes`` over the label space; ``dropped`` counts the
        others.

    Raises:
        FerError: The two files do not match; the message names the first mismatch.
    """
    space = FERPLUS8 if contempt else FER7
    counts = _add_up(_match_rows(votes, images), space, merge)
    counts = np.where(counts > 1, counts, 0)
    is_train, is_test = (images.split == USAGES.index(usage) for usage in ("Training", "PrivateTest"))
    exclusions = _exclusions(counts, contempt, majority_optional=is_train & ambiguous)
    return replace(
        images,
        targets=mapping(FERPLUS8, space)[np.minimum(counts.argmax(1), len(FERPLUS8) - 1)],
        labels=space,
        source=f"{images.source} with {votes.path.name}",
        votes=_distributions(counts, space),
        dropped={rule: n for rule, rows in exclusions.items() if (n := int((rows & ~is_test).sum()))},
    ).take(~np.logical_or.reduce(list(exclusions.values())))


def vote_distributions(votes: Votes, images: EmotionData, merge: Merge | None = None) -> np.ndarray:
    """Return the fraction of votes for each emotion of the images' label space, with single votes removed.

    Args:
        votes: Output of `read_votes`.
        images: All of FER2013's images, in their published order.
        merge: As for `relabel`.

    Returns:
        float32 ``(N, K)``; a row is 0 if no vote for an emotion remains.

    Raises:
        FerError: The two do not match; the message names the first mismatch.
    """
    counts = _add_up(_match_rows(votes, images), images.labels, merge)
    return _distributions(np.where(counts > 1, counts, 0), images.labels)


def drop_not_faces(votes: Votes, images: EmotionData) -> EmotionData:
    """Return the images without training images that most taggers call unknown or not a face.

    These images are then in no split; ``dropped`` counts them. Validation and test images stay.

    Args:
        votes: Output of `read_votes`.
        images: All of FER2013's images, in their published order.

    Raises:
        FerError: The two do not match; the message names the first mismatch.
    """
    counts = _match_rows(votes, images)
    rules = _exclusions(np.where(counts > 1, counts, 0), True, np.zeros(len(images), bool))
    is_train = images.split == USAGES.index("Training")
    found = {rule: rules[rule] & is_train for rule in ("mostly unknown", "mostly not a face")}
    split = images.split.copy()
    split[np.logical_or.reduce(list(found.values()))] = len(images.split_names)
    names = (*images.split_names, "mostly unknown or not a face")
    dropped = {rule: count for rule, rows in found.items() if (count := int(rows.sum()))}
    return replace(images, split=split, split_names=names, dropped={**images.dropped, **dropped})


def with_votes(data: EmotionData, config: DataConfig) -> EmotionData:
    """Return FER2013 with the votes of ``fer2013new.csv``, if that file is in the same folder.

    Votes that do not match the images are not used, and the reason is printed. Other datasets are returned
    unchanged.

    Args:
        data: The dataset.
        config: The config that it was read with.
    """
    if not isinstance(config, FER2013Config):
        return data
    path = expand_user(config.path).with_name(FILENAME)
    if not path.is_file():
        return data
    try:
        return replace(data, votes=vote_distributions(read_votes(path), data, config.merge))
    except FerError as error:
        print(f"votes    not used: {error}", flush=True)
        return data


def _match_rows(votes: Votes, images: EmotionData) -> np.ndarray:
    """Return the votes of each image, int64 ``(N, 10)``."""
    present = np.isin(votes.usage, np.unique(images.split))
    usage, counts, lines = (part[present] for part in votes[1:])
    advice = "Both files must be complete and in their published order."
    if len(usage) != len(images):
        raise FerError(
            f"{votes.path}: expected a row of votes for each of the {len(images)} images of {images.source}, "
            f"got {len(usage)} rows. {advice}"
        )
    # Images that were left out of train have another split.
    is_published = images.split < len(USAGES)
    if len(mismatches := np.flatnonzero(is_published & (usage != images.split))):
        row = mismatches[0]
        raise FerError(
            f"{votes.path}, line {lines[row]}: expected Usage {USAGES[images.split[row]]}, as for image "
            f"{row + 1} of {images.source}, got {USAGES[usage[row]]}. {advice}"
        )
    return counts


def _add_up(counts: np.ndarray, space: LabelSpace, merge: Merge | None) -> np.ndarray:
    """Return votes ``(N, 10)`` in which the first of each group of merged emotions has the votes of all."""
    counts = counts.copy()
    for members in choose_labels(space, None, merge, is_complete=False).merged.values():
        columns = [FERPLUS8.index(name) for name in members if name in FERPLUS8.names]
        if columns:
            counts[:, columns[0]] = counts[:, columns].sum(1)
            counts[:, columns[1:]] = 0
    return counts


def _exclusions(counts: np.ndarray, contempt: bool, majority_optional: np.ndarray) -> dict[str, np.ndarray]:
    """Return rule -> images that it drops, bool ``(N,)``; an image is under one rule at most.

    Args:
        counts: Votes for `OPTIONS`, with single votes removed.
        contempt: Whether the label space has contempt.
        majority_optional: Images that need no majority if their strongest option is an emotion, bool
            ``(N,)``.
    """
    top, top_votes = counts.argmax(1), counts.max(1)
    has_majority = 2 * top_votes > counts.sum(1)
    labelled = has_majority | (majority_optional & (top_votes > 0) & (top < len(FERPLUS8)))
    return {
        "no majority": ~labelled,
        "mostly unknown": has_majority & (top == _UNKNOWN),
        "mostly not a face": has_majority & (top == _NO_FACE),
        "mostly contempt": labelled & (top == FERPLUS8.index("contempt")) & (not contempt),
    }


def _distributions(counts: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the fraction of votes for each emotion of the space, float32 ``(N, K)``; 0 without votes."""
    emotions = counts[:, mapping(space, FERPLUS8)].astype(np.float32)
    return emotions / np.maximum(emotions.sum(1, keepdims=True), 1)
