"""Build an `EmotionData` from the options of a datamodule config: choose the reader, and use the cache.

FER2013, FER+ and synthetic data are decoded in full and cached. A dataset of image files (`folder`, `rafdb`,
`affectnet`) is decoded and cached where it fits into ``memory_gb``; otherwise its images stay on disk. Where
no validation split was published, one is carved out of train.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fer.data import fer2013, ferplus
from fer.data.cache import cached, file_key, generated_key, joint_key
from fer.data.dataset import EmotionData
from fer.errors import FerError, did_you_mean
from fer.labels import SPACES
from fer.places import expand_user

Options = Mapping[str, Any]
_INTEGER_OPTIONS = {"size", "num_train", "num_val", "num_test", "seed", "split_seed"}


def _fer2013(options: Options) -> EmotionData:
    path = options["path"]
    data = cached(file_key(path, "fer2013", fer2013.VERSION), lambda: fer2013.read_fer2013(path))
    if not options.get("votes"):
        return data
    votes = ferplus.read_votes(expand_user(path).with_name(ferplus.FILENAME))
    return replace(data, votes=ferplus.vote_distributions(votes, data))


def _ferplus(options: Options) -> EmotionData:
    images_path, votes_path = ferplus.find_files(options["path"])
    rules = {name: options[name] for name in ("contempt", "ambiguous")}
    keys = [
        file_key(images_path, "fer2013", fer2013.VERSION),
        file_key(votes_path, "ferplus", ferplus.VERSION),
    ]

    def read_and_relabel() -> EmotionData:
        return ferplus.relabel(ferplus.read_votes(votes_path), _fer2013({"path": images_path}), **rules)

    return cached(joint_key(keys, rules), read_and_relabel)


def _concat(options: Options) -> EmotionData:
    from fer.data.concat import concatenate  # imports OpenCV

    if options["labels"] not in SPACES:
        hint = did_you_mean(str(options["labels"]), SPACES)
        raise FerError(f"datamodule.labels: expected {', '.join(SPACES)}, got {options['labels']!r}.{hint}")
    names = [str(source["name"]) for source in options["sources"]]
    keys = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names, 1)]
    parts = {key: read_dataset(source) for key, source in zip(keys, options["sources"], strict=True)}
    labels = SPACES[options["labels"]]
    return concatenate(parts, labels, options["size"], options["color"], options["val_from"])


def _image_files(reader: str) -> Callable[[Options], EmotionData]:
    """Return a function that reads a dataset of image files with ``fer.data.<reader>.read_<reader>``."""

    def read_and_prepare(options: Options) -> EmotionData:
        from fer.data.picture_set import prepare_image_set  # imports OpenCV

        list_images = getattr(importlib.import_module(f"fer.data.{reader}"), f"read_{reader}")
        names = [name for name in ("size", "color", "labels") if name in options]
        return prepare_image_set(
            list_images(options["path"], **{name: options[name] for name in names}), options
        )

    return read_and_prepare


def _synthetic(options: Options) -> EmotionData:
    from fer.data import synthetic  # imports OpenCV, which the CSV readers do not need

    names = ("num_train", "num_val", "num_test", "size", "color", "seed", "difficulty")
    arguments = {name: options[name] for name in names}
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def render() -> EmotionData:
        print("Rendering synthetic faces. The next run reads them from the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, render)


READERS: dict[str, Callable[[Options], EmotionData]] = {
    "affectnet": _image_files("affectnet"),
    "concat": _concat,
    "fer2013": _fer2013,
    "ferplus": _ferplus,
    "folder": _image_files("folder"),
    "rafdb": _image_files("rafdb"),
    "synthetic": _synthetic,
}


def read_dataset(options: Options) -> EmotionData:
    """Return the dataset that a datamodule config names, from the cache if it holds a current copy.

    Args:
        options: ``name`` (one of `READERS`) and the options of that reader, such as ``path``.

    Raises:
        FerError: There is no such reader, an option is invalid, or the data cannot be read.
    """
    name = options["name"]
    if name not in READERS:
        hint = did_you_mean(str(name), READERS)
        raise FerError(f"datamodule.name: expected one of {', '.join(READERS)}, got {name!r}.{hint}")
    for key in _INTEGER_OPTIONS & options.keys():
        if not isinstance(options[key], int):
            raise FerError(f"datamodule.{key}: expected an integer, got {options[key]!r}.")
    return READERS[name](options)
