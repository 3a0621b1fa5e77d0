"""Another data set than that of a training, as commands name it: ``--data KIND:PATH`` and ``--labels``."""

from collections.abc import Sequence

from fer.core.errors import FerError, did_you_mean
from fer.data.config import DataConfig, FER2013Config, FolderConfig

KINDS = ("affectnet", "fer2013", "ferplus", "folder", "rafdb")
# Options in the messages of readers -> those of the commands
_OPTIONS = {
    "datamodule.labels=[angry,disgust,…]": "--labels angry,disgust,…",
    "datamodule.labels": "--labels",
    "datamodule.path=": "--data KIND:",
    "datamodule.path": "--data",
}


def kind_and_path(data: str) -> tuple[str, str]:
    """Return the two parts of ``kind:path``.

    Raises:
        FerError: The kind is none of `KINDS`, or there is no path.
    """
    kind, _, path = data.partition(":")
    if kind not in KINDS or not path:
        raise FerError(
            f"--data {data}: expected kind:path with one of these kinds: {', '.join(KINDS)}; for example "
            f"folder:$HOME/data/CK+.{did_you_mean(kind, KINDS)}"
        )
    return kind, path


def with_labels(config: DataConfig, labels: Sequence[str] | None) -> DataConfig:
    """Return the config with the emotions of the numbers in the data, in ascending order.

    Raises:
        FerError: The data set has known emotions.
    """
    if labels is None:
        return config
    if not isinstance(config, FolderConfig | FER2013Config):
        raise FerError(
            f"--labels: expected --data folder:PATH or fer2013:PATH with it, got {config.name}, whose "
            "emotions are known. Omit --labels."
        )
    return config.replace(labels=list(labels))


def in_own_options(error: FerError) -> FerError:
    """Return the error of a reader with the options of the commands."""
    message = str(error)
    for option, own in _OPTIONS.items():
        message = message.replace(option, own)
    return FerError(message)
