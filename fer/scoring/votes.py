"""FER+ votes for FER2013: a model trained on its labels is also compared with annotators."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fer.data import ferplus
from fer.data.dataset import EmotionData
from fer.errors import FerError
from fer.places import expand_user


def with_votes(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    """Return FER2013 with the votes of ``fer2013new.csv``, if that file is in the same folder.

    Votes that do not match the images are ignored, and a line is printed. Other data sets are returned as
    they are.

    Args:
        data: A data set.
        options: The options that it was read with.
    """
    if options["name"] != "fer2013":
        return data
    path = expand_user(options["path"]).with_name(ferplus.FILENAME)
    if not path.is_file():
        return data
    try:
        return replace(data, votes=ferplus.vote_distributions(ferplus.read_votes(path), data))
    except FerError as error:
        print(f"votes    not used: {error}", flush=True)
        return data
