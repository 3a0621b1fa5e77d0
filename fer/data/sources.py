"""From a datamodule config to data: which reader, and through which cache."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fer.data import fer2013, ferplus
from fer.data.cache import cached, file_key, generated_key, joint_key
from fer.data.dataset import EmotionData
from fer.errors import FerError, did_you_mean
from fer.labels import SPACES
from fer.places import at_home

Options = Mapping[str, Any]
_WHOLE = {"size", "num_train", "num_val", "num_test", "seed", "split_seed"}


def _fer2013(options: Options) -> EmotionData:
    path = options["path"]
    faces = cached(file_key(path, "fer2013", fer2013.VERSION), lambda: fer2013.read_fer2013(path))
    if not options.get("votes"):
        return faces
    votes = ferplus.read_votes(at_home(path).with_name(ferplus.FILENAME))
    return replace(faces, votes=ferplus.shares(votes, faces))


def _ferplus(options: Options) -> EmotionData:
    faces, votes = ferplus.find_files(options["path"])
    rules = {name: options[name] for name in ("contempt", "ambiguous")}
    files = [file_key(faces, "fer2013", fer2013.VERSION), file_key(votes, "ferplus", ferplus.VERSION)]

    def label() -> EmotionData:
        return ferplus.relabel(ferplus.read_votes(votes), _fer2013({"path": faces}), **rules)

    return cached(joint_key(files, rules), label)


def _concat(options: Options) -> EmotionData:
    from fer.data.concat import concatenate  # resizes with OpenCV

    if options["labels"] not in SPACES:
        hint = did_you_mean(str(options["labels"]), SPACES)
        raise FerError(f"datamodule.labels: expected {', '.join(SPACES)}, got {options['labels']!r}.{hint}")
    names = [str(source["name"]) for source in options["sources"]]
    keys = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names, 1)]
    parts = {key: read(source) for key, source in zip(keys, options["sources"], strict=True)}
    labels = SPACES[options["labels"]]
    return concatenate(parts, labels, options["size"], options["color"], options["val_from"])


def _pictures(reader: str) -> Callable[[Options], EmotionData]:
    """Return a source of pictures on disk; its reader is ``read_<reader>`` of the module of that name."""

    def read_and_hold(options: Options) -> EmotionData:
        from fer.data.picture_set import hold  # decodes with OpenCV

        read_files = getattr(importlib.import_module(f"fer.data.{reader}"), f"read_{reader}")
        names = [name for name in ("size", "color", "labels") if name in options]
        return hold(read_files(options["path"], **{name: options[name] for name in names}), options)

    return read_and_hold


def _synthetic(options: Options) -> EmotionData:
    from fer.data import synthetic  # draws with OpenCV, which a reader of files need not load

    names = ("num_train", "num_val", "num_test", "size", "color", "seed", "difficulty")
    arguments = {name: options[name] for name in names}
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def draw() -> EmotionData:
        print("Drawing synthetic faces; the next run finds them in the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, draw)


READERS: dict[str, Callable[[Options], EmotionData]] = {
    "affectnet": _pictures("affectnet"),
    "concat": _concat,
    "fer2013": _fer2013,
    "ferplus": _ferplus,
    "folder": _pictures("folder"),
    "rafdb": _pictures("rafdb"),
    "synthetic": _synthetic,
}


def read(options: Options) -> EmotionData:
    """Read the data that a datamodule config names, from the cache where it has been read before.

    Args:
        options: ``name`` (one of `READERS`) and that reader's options, such as ``path``.

    Raises:
        FerError: There is no such reader, or it refuses the data.
    """
    name = options["name"]
    if name not in READERS:
        hint = did_you_mean(str(name), READERS)
        raise FerError(f"datamodule.name: expected one of {', '.join(READERS)}, got {name!r}.{hint}")
    for key in _WHOLE & options.keys():
        if not isinstance(options[key], int):
            raise FerError(f"datamodule.{key}: expected a whole number, got {options[key]!r}.")
    return READERS[name](options)
