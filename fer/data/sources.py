"""From a datamodule config to data: which reader, and through which cache."""

from collections.abc import Callable, Mapping
from typing import Any

from fer.data import fer2013
from fer.data.cache import cached, file_key, generated_key
from fer.data.dataset import EmotionData
from fer.errors import FerError, did_you_mean

Options = Mapping[str, Any]


def _fer2013(options: Options) -> EmotionData:
    path = options["path"]
    return cached(file_key(path, "fer2013", fer2013.VERSION), lambda: fer2013.read_fer2013(path))


def _synthetic(options: Options) -> EmotionData:
    from fer.data import synthetic  # draws with OpenCV, which a reader of files need not load

    names = ("num_train", "num_val", "num_test", "size", "color", "seed", "difficulty")
    arguments = {name: options[name] for name in names}
    key = generated_key("synthetic", arguments, synthetic.VERSION)

    def draw() -> EmotionData:
        print("Drawing synthetic faces; the next run finds them in the cache.", flush=True)
        return synthetic.read_synthetic(**arguments)

    return cached(key, draw)


READERS: dict[str, Callable[[Options], EmotionData]] = {"fer2013": _fer2013, "synthetic": _synthetic}


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
    return READERS[name](options)
