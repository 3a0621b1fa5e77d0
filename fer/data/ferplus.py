"""FER+: FER2013's faces under the votes of ten taggers (Barsoum et al. 2016).

``fer2013new.csv`` (``Usage,Image name,neutral,…,contempt,unknown,NF``) says for each row of
``fer2013.csv``, in its order, how many taggers saw which of eight emotions, could not tell (unknown) or saw
no face (NF); see https://arxiv.org/abs/1608.01041. The rules, of which the first two are those of the
authors' released code (https://github.com/microsoft/FERPlus):

1. An option with a single vote is taken for a slip and set to 0.
2. An image counts as the option with more than half of the votes that are left; unknown and NF are options
   like the rest. Images without such a majority, among them all ties, are left out ("no majority"), and so
   are those that are mostly unknown or mostly not a face.
3. In the space without contempt, images that are mostly contempt are left out: they do not fall to their
   second.
4. ``votes`` are what is left for the emotions of the space, without unknown and NF, divided by their sum.

Where the authors train on distributions, their code keeps images without a majority too, and of each image
only the strongest options, up to three quarters of its votes. Here all losses see the same images, so that
they can be compared, and all votes of rule 1. ``ambiguous`` adds the training images without a majority
whose strongest option is an emotion: of equals the first in FER+'s order, an emotion before unknown and NF.
Validation and test images always have a majority, as theirs do.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer.data.dataset import EmotionData
from fer.data.fer2013_rows import USAGES, split_fields
from fer.data.files import open_text
from fer.data.splits import indices
from fer.errors import FerError
from fer.labels import FER7, FERPLUS8, LabelSpace, mapping
from fer.places import at_home

VERSION = 1  # of what this reader returns; a new number makes caches of older ones stale

FILENAME = "fer2013new.csv"
OPTIONS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf"
)  # fmt: skip
_UNKNOWN, _NO_FACE = OPTIONS.index("unknown"), OPTIONS.index("nf")
_USAGE_NUMBERS = {usage.encode(): number for number, usage in enumerate(USAGES)}
_MAX_LINE = 1 << 16
_EXPECTED = f"FER+'s votes ({FILENAME}: columns Usage, Image name, neutral, …, unknown, NF)"


class _Layout(NamedTuple):
    """How many columns there are, which is Usage, and what takes the ten counts of `OPTIONS` out of a row."""

    columns: int
    usage: int
    votes: Callable[[list[bytes]], tuple[bytes, ...]]


class Votes(NamedTuple):
    """The rows of ``fer2013new.csv``.

    Attributes:
        path: The file.
        usage: uint8 ``(N,)``, position in FER2013's ``USAGES``.
        counts: int64 ``(N, 10)``, votes for each of `OPTIONS`.
        lines: int64 ``(N,)``, line of each row in the file, counted from 1.
    """

    path: Path
    usage: np.ndarray
    counts: np.ndarray
    lines: np.ndarray


def find_files(path: str | Path) -> tuple[Path, Path]:
    """Return the paths of FER2013's and FER+'s CSV files, given their folder or either file."""
    path = at_home(path)
    folder = path.parent if path.name == FILENAME else path
    if not folder.is_dir():
        return path, path.with_name(FILENAME)
    names = ("fer2013.csv", "icml_face_data.csv")
    found = [folder / name for name in names if (folder / name).is_file()]
    return (found or [folder / names[0]])[0], folder / FILENAME


def read_votes(path: str | Path) -> Votes:
    """Read ``fer2013new.csv``.

    Raises:
        FerError: The file is missing, no FER+ file, or damaged; the message names the line.
    """
    path = at_home(path)
    with open_text(path, _EXPECTED) as file:
        header = [_show(field).lower() for field in split_fields(file.readline(_MAX_LINE))]
        _check_header(path, header)
        layout = _Layout(
            len(header), header.index("usage"), itemgetter(*(header.index(name) for name in OPTIONS))
        )
        lines = enumerate(iter(partial(file.readline, _MAX_LINE), b""), 2)
        rows = [_parse_row(path, i, line, layout) for i, line in lines if not line.isspace()]
    if not rows:
        raise _mistake(path, 2, "rows of votes", "none")
    table = np.array(rows, dtype=np.int64)
    return Votes(path, table[:, 1].astype(np.uint8), table[:, 2:], table[:, 0])


def _show(field: bytes) -> str:
    return field.decode("utf-8", errors="replace")[:60]


def _check_header(path: Path, header: list[str]) -> None:
    if any(header.count(name) != 1 for name in ("usage", *OPTIONS)):
        raise _mistake(path, 1, f"the columns Usage, {', '.join(OPTIONS)}, each once", ", ".join(header))


def _parse_row(path: Path, number: int, line: bytes, layout: _Layout) -> list[int]:
    """Return a line's number, its Usage as a position in `USAGES`, and its votes for `OPTIONS`."""
    fields = split_fields(line)
    if len(fields) != layout.columns:
        raise _mistake(path, number, f"{layout.columns} columns", str(len(fields)))
    usage, votes = _USAGE_NUMBERS.get(fields[layout.usage]), layout.votes(fields)
    if usage is None:
        raise _mistake(path, number, f"Usage {', '.join(USAGES)}", repr(_show(fields[layout.usage])))
    if not all(map(bytes.isdigit, votes)) or max(map(len, votes)) > 2:
        raise _mistake(path, number, "ten counts of votes", ", ".join(map(_show, votes)))
    return [number, usage, *map(int, votes)]


def _mistake(path: Path, number: int, expected: str, got: str) -> FerError:
    return FerError(f"{path}, line {number}: expected {expected}, got {got}. Download the file again.")


def relabel(votes: Votes, faces: EmotionData, contempt: bool, ambiguous: bool) -> EmotionData:
    """Return FER2013's images under FER+'s labels; the module's text says by which rules.

    Rows belong together by their order, and their Usage has to agree. A Usage that ``faces`` lacks altogether
    (PrivateTest, which not every copy holds) is skipped in ``votes``.

    Args:
        votes: What `read_votes` returns.
        faces: What `fer.data.fer2013.read_fer2013` returns.
        contempt: Eight emotions in FER+'s order; else seven in FER2013's order, without contempt.
        ambiguous: Train on images without a majority too.

    Returns:
        The images that count as an emotion, with ``votes`` of that space; ``dropped`` counts the others.

    Raises:
        FerError: The two files do not match; the message says where.
    """
    counts = _match(votes, faces)
    counts = np.where(counts > 1, counts, 0)
    is_train, is_test = (faces.split == USAGES.index(usage) for usage in ("Training", "PrivateTest"))
    reasons = _reasons(counts, contempt, excused=is_train & ambiguous)
    space = FERPLUS8 if contempt else FER7
    labelled = replace(
        faces,
        targets=mapping(FERPLUS8, space)[np.minimum(counts.argmax(1), len(FERPLUS8) - 1)],
        labels=space,
        source=f"{faces.source} with {votes.path.name}",
        votes=_distributions(counts, space),
        dropped={rule: n for rule, rows in reasons.items() if (n := int((rows & ~is_test).sum()))},
    ).take(~np.logical_or.reduce(list(reasons.values())))
    if len(np.unique(labelled.targets[indices(labelled, "train")])) < 2:
        raise FerError(f"{votes.path}: expected Training votes for two emotions or more. Use the whole file.")
    return labelled


def shares(votes: Votes, faces: EmotionData) -> np.ndarray:
    """Return the share of votes for each emotion of the images' own label space, single votes removed.

    Args:
        votes: What `read_votes` returns.
        faces: FER2013's images, all of them, in their published order.

    Returns:
        float32 ``(N, K)``; rows are 0 where no vote for an emotion is left.

    Raises:
        FerError: The two do not match; the message says where.
    """
    counts = _match(votes, faces)
    return _distributions(np.where(counts > 1, counts, 0), faces.labels)


def _match(votes: Votes, faces: EmotionData) -> np.ndarray:
    """Return the votes of each image, int64 ``(N, 10)``."""
    present = np.isin(votes.usage, np.unique(faces.split))
    usage, counts, lines = (part[present] for part in votes[1:])
    advice = "Both files must be whole and in their published order."
    if len(usage) != len(faces):
        raise FerError(
            f"{votes.path}: expected a row of votes for each of the {len(faces)} images of {faces.source}, "
            f"got {len(usage)} rows. {advice}"
        )
    if len(different := np.flatnonzero(usage != faces.split)):
        row = different[0]
        raise FerError(
            f"{votes.path}, line {lines[row]}: expected Usage {USAGES[faces.split[row]]}, as image {row + 1} "
            f"of {faces.source} has it, got {USAGES[usage[row]]}. {advice}"
        )
    return counts


def _reasons(counts: np.ndarray, contempt: bool, excused: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each rule the images that it leaves out, bool ``(N,)``; each image under one rule at most.

    Args:
        counts: Votes for `OPTIONS`, single ones removed.
        contempt: Whether contempt is an emotion of the space.
        excused: Images that need no majority, if their strongest option is an emotion.
    """
    top, most = counts.argmax(1), counts.max(1)
    decided = 2 * most > counts.sum(1)
    counted = decided | (excused & (most > 0) & (top < len(FERPLUS8)))
    return {
        "no majority": ~counted,
        "mostly unknown": decided & (top == _UNKNOWN),
        "mostly not a face": decided & (top == _NO_FACE),
        "mostly contempt": counted & (top == FERPLUS8.index("contempt")) & (not contempt),
    }


def _distributions(counts: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Return the share of votes for each emotion of the space, float32 ``(N, K)``; 0 where it has none."""
    emotions = counts[:, mapping(space, FERPLUS8)].astype(np.float32)
    return emotions / np.maximum(emotions.sum(1, keepdims=True), 1)
