"""The data that runs are evaluated on: each dataset is read once, in the image format of each model."""

import json
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property

from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.data.config import DataConfig
from fer.data.dataset import EmotionData
from fer.evaluation.provenance import Provenance, find_provenance, is_trained_on
from fer.evaluation.runs import TrainedRun
from fer.evaluation.split import EvaluationSplit, data_config, default_role, read_data, select_split

# Options that depend on the model: each needs its images as in its training
_IMAGE_FORMAT = ("size", "color")
# Options that do not change which images are read
_IRRELEVANT_OPTIONS = {"batch_size", "eval_batch_size", "workers", "memory_gb"}


# Options in the messages of readers -> those of fer-evaluate
_OPTIONS = {
    "datamodule.labels=[angry,disgust,…]": "--labels angry,disgust,…",
    "datamodule.labels": "--labels",
    "datamodule.path=": "--data KIND:",
    "datamodule.path": "--data",
}


def _in_own_options(message: str) -> str:
    """Return the message of a reader with the options of fer-evaluate."""
    for option, own in _OPTIONS.items():
        message = message.replace(option, own)
    return message


class EvaluationData:
    """The data that runs are scored on.

    Args:
        run: The first run: its data is scored, in its label space.
        role: ``train``, ``val``, ``test`` or ``all``; ``None``: val, or of another data set
            `fer.evaluation.split.default_role`.
        path: New path of its data; see `fer.evaluation.split.data_config`.
        other: ``kind:path`` of another data set to score.
        labels: Emotions of its numbers; see `fer.evaluation.split.data_config`.

    Raises:
        FerError: The data is missing, or has no such split or emotion.
    """

    def __init__(
        self,
        run: TrainedRun,
        role: str | None,
        path: str | None = None,
        other: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        self._path, self._other, self._labels = path, other, labels
        self._datasets: dict[str, EmotionData] = {}
        self._provenances: dict[tuple[int, str], Provenance] = {}
        self._variants: dict[str, EvaluationData] = {}
        self._config = data_config(run.config, path, other, labels)
        self.run = run
        self.role = role or ("val" if other is None else default_role(self.dataset))

    @cached_property
    def dataset(self) -> EmotionData:
        """The data set that is scored, with all its splits."""
        try:
            return self._read(self._config)
        except FerError as error:
            if self._other is None:
                raise
            raise FerError(_in_own_options(str(error))) from None

    @cached_property
    def split(self) -> EvaluationSplit:
        """The images to score."""
        return select_split(self.dataset, self.role, self.run.checkpoint.labels)

    def for_run(self, run: TrainedRun) -> "EvaluationData":
        """Return the data in the image size and colour that a run needs; ``self`` if these are the same."""
        run_config = data_config(run.config, self._path, self._other, self._labels)
        fields = type(run_config).model_fields.keys() & type(self._config).model_fields.keys()
        image_format = {name: getattr(run_config, name) for name in fields.intersection(_IMAGE_FORMAT)}
        config = self._config.replace(**image_format)
        if config == self._config:
            return self
        variant = copy(self)
        variant._config, variant._provenances = config, {}
        for name in ("dataset", "split"):
            vars(variant).pop(name, None)
        return self._variants.setdefault(self._key(config), variant)

    def training_dataset(self, run: TrainedRun) -> EmotionData | None:
        """Return the data set that a run was trained on.

        ``None`` if another data set is scored and this one is missing. A bundle does not know where its data
        are; they are recognized by its manifest.
        """
        if self._other is None:
            return self._read(data_config(run.config, self._path))
        with suppress(FerError):
            return self._read(data_config(run.config))
        return self.dataset if is_trained_on(self.dataset, run.checkpoint.manifest) else None

    def provenance(self, run: TrainedRun) -> Provenance:
        """Return how the images relate to the training of a run."""
        training_dataset = self.training_dataset(run)
        key = (id(training_dataset), json.dumps(run.checkpoint.manifest, sort_keys=True))
        if key not in self._provenances:
            self._provenances[key] = find_provenance(run, self.split, self.dataset, training_dataset)
        return self._provenances[key]

    def validation_split(self, run: TrainedRun) -> EvaluationSplit | None:
        """Return the validation split of the data set that a run was trained on, if available."""
        dataset = self.training_dataset(run)
        if dataset is None or "val" not in dataset.roles:
            return None
        return select_split(dataset, "val", run.checkpoint.labels)

    def _read(self, config: DataConfig) -> EmotionData:
        key = self._key(config)
        if key not in self._datasets:
            self._datasets[key] = read_data(config)
        return self._datasets[key]

    @staticmethod
    def _key(config: DataConfig) -> str:
        """Return a key that is equal for two spellings of the same data set."""
        options = config.to_dict().items()
        relevant = {name: value for name, value in options if name not in _IRRELEVANT_OPTIONS}
        if relevant.get("path"):
            relevant["path"] = str(expand_user(relevant["path"]).resolve())
        return json.dumps(relevant, sort_keys=True, default=str)
