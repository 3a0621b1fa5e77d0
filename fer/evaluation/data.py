"""The data that runs are evaluated on: each dataset is read once, in the image format of each model."""

import json
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cached_property

from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.core.paths import expand_user
from fer.data.config import DataConfig, ImageFilesConfig
from fer.data.dataset import EmotionData
from fer.data.other_data import in_own_options
from fer.evaluation.faces import FaceFinder
from fer.evaluation.provenance import Provenance, find_provenance, is_trained_on
from fer.evaluation.runs import TrainedRun
from fer.evaluation.split import EvaluationSplit, data_config, default_role, read_data, select_split

# Options that depend on the model: each needs its images as in its training
_IMAGE_FORMAT = ("size", "color")
# Options that do not change which images are read
_IRRELEVANT_OPTIONS = {"batch_size", "eval_batch_size", "workers", "memory_gb"}


class DataCache:
    """Data sets that were read, and splits that were selected from them: each is read once."""

    def __init__(self) -> None:
        self._datasets: dict[str, EmotionData] = {}
        self._splits: dict[tuple[str, str, LabelSpace], EvaluationSplit] = {}

    def read(self, config: DataConfig) -> EmotionData:
        """Return a data set with all its splits."""
        key = self._key(config)
        if key not in self._datasets:
            self._datasets[key] = read_data(config)
        return self._datasets[key]

    def select(self, config: DataConfig, role: str, labels: LabelSpace) -> EvaluationSplit:
        """Return the images of a split; see `select_split`."""
        key = (self._key(config), role, labels)
        if key not in self._splits:
            self._splits[key] = select_split(self.read(config), role, labels)
        return self._splits[key]

    @staticmethod
    def _key(config: DataConfig) -> str:
        """Return a key that is equal for two spellings of the same data set."""
        options = config.to_dict().items()
        relevant = {name: value for name, value in options if name not in _IRRELEVANT_OPTIONS}
        if relevant.get("path"):
            relevant["path"] = str(expand_user(relevant["path"]).resolve())
        return json.dumps(relevant, sort_keys=True, default=str)


class EvaluationData:
    """The data that runs are scored on.

    Args:
        run: The first run: its data is scored, in its label space.
        role: ``train``, ``val``, ``test`` or ``all``; ``None``: val, or of another data set
            `fer.evaluation.split.default_role`.
        path: New path of its data; see `fer.evaluation.split.data_config`.
        other: ``kind:path`` of another data set to score.
        labels: Emotions of its numbers; see `fer.evaluation.split.data_config`.
        faces: Detects the faces in its photographs; ``None`` if its images are faces.
        like: A run whose data is scored, if the first one does not know its own.
        cache: Data sets that were read before.

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
        *,
        faces: FaceFinder | None = None,
        like: TrainedRun | None = None,
        cache: DataCache | None = None,
    ) -> None:
        self._path, self._other, self._labels = path, other, labels
        self._faces, self._like = faces, like
        self._cache = cache or DataCache()
        self._splits: dict[int, EvaluationSplit] = {}
        self._provenances: dict[tuple[int, str], Provenance] = {}
        self._variants: dict[str, EvaluationData] = {}
        self._config = self._config_of(run)
        self.run = run
        self.role = role or ("val" if other is None else default_role(self.dataset))

    @cached_property
    def dataset(self) -> EmotionData:
        """The data set that is scored, with all its splits."""
        try:
            return self._cache.read(self._config)
        except FerError as error:
            if self._other is None:
                raise
            raise in_own_options(error) from None

    @cached_property
    def split(self) -> EvaluationSplit:
        """The images to score."""
        # For the message of a data set that cannot be read
        _ = self.dataset
        return self._cache.select(self._config, self.role, self.run.checkpoint.labels)

    @property
    def config(self) -> DataConfig:
        """The config that the data set is read with."""
        return self._config

    def _config_of(self, run: TrainedRun) -> DataConfig:
        """Return the config of the data in the image size and colour that a run needs."""
        owner = self._like or run
        config = data_config(owner.config, self._path, self._other, self._labels)
        fields = type(config).model_fields
        if owner is not run and "size" in fields:
            config = config.replace(size=run.config.model.image_size)
        if run.needs_color and "color" in fields:
            config = config.replace(color=True)
        if self._faces is None:
            return config
        if not isinstance(config, ImageFilesConfig):
            raise FerError(
                f"--faces: expected --data with photographs, such as folder:DIR, got "
                f"{self._other or config.name}. Omit --faces."
            )
        # The files are needed, not the small images that are made of them.
        return config.replace(memory_gb=0.0, landmarks=None)

    def split_for(self, run: TrainedRun) -> EvaluationSplit:
        """Return the images to score: `split`, or the faces in its photographs, cropped for a run."""
        if self._faces is None:
            return self.split
        if id(run) not in self._splits:
            data, photographs = self._faces.crop(self.split.data, run)
            self._splits[id(run)] = replace(self.split, data=data, faces=photographs)
        return self._splits[id(run)]

    def for_run(self, run: TrainedRun) -> "EvaluationData":
        """Return the data in the image size and colour that a run needs; ``self`` if these are the same."""
        run_config = self._config_of(run)
        fields = type(run_config).model_fields.keys() & type(self._config).model_fields.keys()
        image_format = {name: getattr(run_config, name) for name in fields.intersection(_IMAGE_FORMAT)}
        config = self._config.replace(**image_format)
        if config == self._config:
            return self
        variant = copy(self)
        variant._config, variant._provenances, variant._splits = config, {}, {}
        for name in ("dataset", "split"):
            vars(variant).pop(name, None)
        return self._variants.setdefault(json.dumps(config.to_dict(), sort_keys=True, default=str), variant)

    def training_dataset(self, run: TrainedRun) -> EmotionData | None:
        """Return the data set that a run was trained on.

        ``None`` if another data set is scored and this one is missing. A bundle does not know where its data
        are; they are recognized by its manifest.
        """
        if self._other is None and run.config.datamodule is not None:
            return self._cache.read(data_config(run.config, self._path))
        with suppress(FerError):
            return self._cache.read(data_config(run.config))
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
