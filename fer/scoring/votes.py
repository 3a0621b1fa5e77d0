"""FER+'s votes for FER2013's images: a model that learnt from the labels is measured against people too."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fer.data import ferplus
from fer.data.dataset import EmotionData
from fer.errors import FerError
from fer.places import at_home


def with_votes(data: EmotionData, options: Mapping[str, Any]) -> EmotionData:
    """Return FER2013's images with the votes of ``fer2013new.csv``, where that lies beside their file.

    Votes that do not fit the images are left alone, and a line says why.

    Args:
        data: A whole set.
        options: What it was read by.
    """
    if options["name"] != "fer2013":
        return data
    path = at_home(options["path"]).with_name(ferplus.FILENAME)
    if not path.is_file():
        return data
    try:
        return replace(data, votes=ferplus.shares(ferplus.read_votes(path), data))
    except FerError as error:
        print(f"votes    not used: {error}", flush=True)
        return data
