"""Keys that identify images, to match the images that several runs were scored on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer.data.duplicates.signature import pixel_digests
from fer.data.pictures import ImageFiles
from fer.errors import FerError
from fer.places import expand_user
from fer.scoring import EvaluationSplit

if TYPE_CHECKING:
    from fer.evaluating.contenders import ComparedRun


def image_keys(runs: Sequence["ComparedRun"]) -> list[np.ndarray]:
    """Return keys of the scored images of each run, ``(N,)`` each; equal keys are the same image.

    For data in memory, hashes of the pixels; if the images of one path are held in several sizes or colours,
    their rows. For data on disk, hashes of the files, or names and sizes if there are many.

    Raises:
        FerError: The data sets are held in ways that cannot be matched.
    """
    splits = [run.load_split() for run in runs]
    keys = _split_keys(splits, [str(run["run"]) for run in runs])
    # Images that could not be read have no prediction.
    is_scored = [np.isin(split.index, run.predictions.index) for split, run in zip(splits, runs, strict=True)]
    return [key[mask] for key, mask in zip(keys, is_scored, strict=True)]


def _split_keys(splits: Sequence[EvaluationSplit], runs: Sequence[str]) -> list[np.ndarray]:
    images = [split.data.images for split in splits]
    in_memory = [part for part in images if isinstance(part, np.ndarray)]
    on_disk = [part for part in images if isinstance(part, ImageFiles)]
    if not in_memory:
        return [np.array(list(part.files.content_hashes(np.arange(len(part))))) for part in on_disk]
    names = " and ".join(dict.fromkeys(runs))
    if on_disk:
        raise FerError(
            f"{names}: expected all images in memory or all on disk, got both, so they cannot be matched. "
            "Score the runs again with the same datamodule.memory_gb."
        )
    if len({part.shape[1:] for part in in_memory}) == 1:
        return [np.array(pixel_digests(part)) for part in in_memory]
    if len({expand_user(split.data.source).resolve() for split in splits}) == 1:
        return [split.index for split in splits]
    sizes = " and ".join(dict.fromkeys("x".join(map(str, part.shape[1:])) for part in in_memory))
    raise FerError(
        f"{names}: expected images of one size or from one path, got {sizes} from several paths, so they "
        "cannot be matched. Name one path that has the data of all runs with --path."
    )
