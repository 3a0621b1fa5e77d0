"""The data of a run: read, checked for duplicates, and wrapped in a DataModule."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fer.data import splits
from fer.data.augment import AugmentationConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData
from fer.data.duplicates import check_duplicates
from fer.data.sources import read_dataset


class RunData(NamedTuple):
    """A data set with its duplicates and manifest, which take seconds to compute.

    Attributes:
        dataset: Images, labels and splits.
        duplicates: As `fer.data.duplicates.duplicate_report` returns it; None if not searched for.
        manifest: As `fer.data.splits.manifest` returns it.
    """

    dataset: EmotionData
    duplicates: dict[str, Any] | None
    manifest: dict[str, Any]


def read_data(config: Mapping[str, Any]) -> RunData:
    """Read the data set of a config, and search it for duplicates."""
    complete = read_dataset(config["datamodule"])
    dataset, duplicates = check_duplicates(complete, config["datamodule"]["drop_leaks"])
    return RunData(dataset, duplicates, splits.manifest(dataset, full_data=complete))


def build_datamodule(config: Mapping[str, Any], data: RunData) -> EmotionDataModule:
    """Build the DataModule of a config."""
    options = config["datamodule"]
    return EmotionDataModule(
        data.dataset,
        batch_size=options["batch_size"],
        eval_batch_size=options["eval_batch_size"],
        image_size=config["model"]["image_size"],
        augmentation=AugmentationConfig(**config["augmentation"]),
        progressive=config["progressive"],
        seed=config["seed"],
        oversample=config["imbalance"]["name"] == "oversample",
        duplicates=data.duplicates,
        workers=options.get("workers", 0),
    )
