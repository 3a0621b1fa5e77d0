"""The data of a run: read, searched for copies, named, and held ready."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fer.data import splits
from fer.data.augment import Recipe
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData
from fer.data.duplicates import check_copies
from fer.data.sources import read


class Data(NamedTuple):
    """A data set, and what it takes seconds to find out about it.

    Attributes:
        faces: The set.
        copies: What `fer.data.duplicates.describe` says of it; None where it was not looked for.
        manifest: What `fer.data.splits.manifest` names it by.
    """

    faces: EmotionData
    copies: dict[str, Any] | None
    manifest: dict[str, Any]


def read_data(config: Mapping[str, Any]) -> Data:
    """Read the data named in the config, and look for copies in it."""
    whole = read(config["datamodule"])
    faces, copies = check_copies(whole, config["datamodule"]["drop_leaks"])
    return Data(faces, copies, splits.manifest(faces, whole=whole))


def build_datamodule(config: Mapping[str, Any], data: Data) -> EmotionDataModule:
    """Hold data ready for the device, as the config says."""
    options = config["datamodule"]
    return EmotionDataModule(
        data.faces,
        batch_size=options["batch_size"],
        eval_batch_size=options["eval_batch_size"],
        image_size=config["model"]["image_size"],
        recipe=Recipe(**config["augmentation"]),
        progressive=config["progressive"],
        seed=config["seed"],
        oversample=config["imbalance"]["name"] == "oversample",
        duplicates=data.copies,
        workers=options.get("workers", 0),
    )
