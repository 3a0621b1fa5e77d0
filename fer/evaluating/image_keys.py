"""What tells images apart that several runs were scored on, so that the same ones can be lined up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer.data.duplicates.signature import digests
from fer.data.pictures import ImageFiles
from fer.errors import FerError
from fer.places import at_home
from fer.scoring import Subject

if TYPE_CHECKING:
    from fer.evaluating.contenders import Contender


def image_keys(contenders: Sequence["Contender"]) -> list[np.ndarray]:
    """Return what tells the scored images of each run apart, ``(N,)`` each.

    Of sets in memory the hashes of the pixels; where one place's pictures are held in several sizes or
    colours, the rows. Of sets on disk the files' bytes, or names and sizes where there are many.

    Raises:
        FerError: The sets are held in ways that cannot be lined up.
    """
    keys = _keys([one.subject() for one in contenders], [str(one["run"]) for one in contenders])
    scored = [np.isin(one.subject().index, one.predictions.index) for one in contenders]  # the readable ones
    return [key[rows] for key, rows in zip(keys, scored, strict=True)]


def _keys(subjects: Sequence[Subject], runs: Sequence[str]) -> list[np.ndarray]:
    images = [subject.data.images for subject in subjects]
    held = [part for part in images if isinstance(part, np.ndarray)]
    on_disk = [part for part in images if isinstance(part, ImageFiles)]
    if not held:
        return [np.array(list(part.files.contents(np.arange(len(part))))) for part in on_disk]
    names = " and ".join(dict.fromkeys(runs))
    if on_disk:
        raise FerError(
            f"{names}: the pictures of one are held in memory and those of another stay on disk, so they "
            "cannot be matched. Score them anew with one datamodule.memory_gb."
        )
    if len({part.shape[1:] for part in held}) == 1:
        return [np.array(digests(part)) for part in held]
    if len({at_home(subject.data.source).resolve() for subject in subjects}) == 1:
        return [subject.index for subject in subjects]
    sizes = " and ".join(dict.fromkeys("x".join(map(str, part.shape[1:])) for part in held))
    raise FerError(
        f"{names} hold pictures of {sizes} from several places, so they cannot be matched. Name one place "
        "that all of them lie in with --path."
    )
