"""Configs of data sets and of augmentation, the groups ``datamodule`` and ``augmentation``."""

from collections.abc import Mapping
from operator import not_
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from fer.core.config import Choice, Config, Count, Fraction, NotNegative, Number
from fer.core.errors import FerError, did_you_mean
from fer.core.label_choice import check_choice
from fer.core.labels import SPACES, spelling
from fer.core.paths import expand_user
from fer.core.registry import READERS

# Value of ``landmarks`` that is no file.
YUNET = "yunet"
NotNegativeInt = Annotated[int, Field(ge=0)]
# Options of the combined data set, not of each of its sources.
_COMBINED = ("batch_size", "eval_batch_size", "drop_leaks", "emotions", "merge", "fold")
_SOURCES_EXAMPLE = "'datamodule.sources=[{name: fer2013, path: /data/fer2013.csv}, {name: synthetic}]'"
# Kinds whose images are stored at the side of the model input unless `size` says otherwise.
_STORED_AT_MODEL_SIZE = ("folder", "rafdb", "affectnet", "concat")


class _EmotionChoice(Config):
    """A choice of emotions.

    Attributes:
        emotions: Names of the emotions to keep, in the order of the class numbers; None: all.
        merge: Name -> the emotions that it stands for.
    """

    key: ClassVar[str] = "datamodule"
    advice: ClassVar[Mapping[str, str]] = {
        "emotions": "Example: datamodule.emotions=[happy,sad,neutral]",
        "merge": "Example: 'datamodule.merge={negative: [angry, sad], positive: [happy]}'",
    }
    # Not stored where they are not used, so that recipes of older versions are the same.
    emotions: list[str] | None = Field(default=None, exclude_if=not_)
    merge: dict[str, list[str]] | None = Field(default=None, exclude_if=not_)

    @field_validator("emotions")
    @classmethod
    def _spell_emotions(cls, names: list[str] | None) -> list[str] | None:
        """Store one spelling of each emotion, so that recipes with `joy` and `happy` are the same."""
        return names and [spelling(name) for name in names]

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        check_choice(self.emotions, self.merge)
        return self


class DataConfig(_EmotionChoice, Choice):
    """A data set and its batches; the subclass is chosen by ``name``.

    Attributes:
        drop_leaks: Train without exact and near copies of validation and test images.
        batch_size: Images per training batch and process.
        eval_batch_size: Images per validation batch.
        emotions: Names of the emotions to keep, in the order of the class numbers; None: all.
        merge: Name -> the emotions that it stands for.
        fold: Part of the training split that is left out, ``"0/5"`` for the first of five; None: no part.
        landmarks: Align faces by five points each: ``yunet``, or a file of them; None: faces as they are.
    """

    path_fields: ClassVar[tuple[str, ...]] = ("path",)
    drop_leaks: bool = False
    batch_size: Count = 128
    eval_batch_size: Count = 512
    fold: str | None = Field(default=None, exclude_if=not_)
    landmarks: str | None = Field(default=None, exclude_if=not_)

    def with_absolute_paths(self) -> Self:
        """Return a copy in which the paths are absolute; ``landmarks=yunet`` is none."""
        config = super().with_absolute_paths()
        if self.landmarks in (None, YUNET):
            return config
        return config.replace(landmarks=str(expand_user(self.landmarks).absolute()))

    @classmethod
    def create(cls, values: Mapping[str, Any], image_size: int) -> Self:
        """Return the config of plain values; a missing ``size`` is the side of the model input.

        Args:
            values: ``name`` and other fields.
            image_size: Side of the model input, in pixels.

        Raises:
            FerError: As `Config.from_dict`.
        """
        return cls.from_dict(_with_size(values, image_size))


def _with_size(values: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    result = dict(values)
    entry = READERS.find(str(result.get("name")))
    if result.get("name") in _STORED_AT_MODEL_SIZE or (entry is not None and entry.facts.get("files")):
        result.setdefault("size", image_size)
    if isinstance(sources := result.get("sources"), list):
        result["sources"] = [
            _with_size(source, image_size) if isinstance(source, Mapping) else source for source in sources
        ]
    return result


class BatchConfig(_EmotionChoice):
    """Batches of a data set that is given as arrays, which has no other options.

    Attributes:
        batch_size, eval_batch_size, emotions, merge: As for `DataConfig`.
        workers: Processes that decode image files on disk.
    """

    batch_size: Count = 128
    eval_batch_size: Count = 512
    workers: NotNegativeInt = 0


class FER2013Config(DataConfig):
    """FER2013: ``fer2013.csv`` or ``icml_face_data.csv`` of the 2013 challenge.

    Attributes:
        path: The CSV file.
        votes: Add the FER+ votes of ``fer2013new.csv`` in the same folder.
        labels: Emotions of the numbers in a file of the same columns, from 0 on; None: those of FER2013.
        drop_not_faces: Train without the images that most taggers of FER+ call unknown or not a face.
    """

    name: Literal["fer2013"] = "fer2013"
    path: str
    votes: bool = False
    labels: list[str] | None = None
    drop_not_faces: Annotated[bool, Field(exclude_if=not_)] = False


class FERPlusConfig(DataConfig):
    """FER+: the images of FER2013 with the votes of ten annotators.

    Attributes:
        path: The folder of ``fer2013.csv`` and ``fer2013new.csv``.
        contempt: Eight emotions in the order of FER+; otherwise seven in the order of FER2013.
        ambiguous: Also train on images without a majority.
    """

    name: Literal["ferplus"] = "ferplus"
    path: str
    contempt: bool = True
    ambiguous: bool = False


class ImageFilesConfig(DataConfig):
    """A data set of image files.

    Attributes:
        path: Its folder.
        size: Side at which images are stored, in pixels.
        color: Read RGB; otherwise gray.
        val_fraction: Fraction carved out of train if there is no validation part.
        split_seed: Seed of the carve-out.
        group: What keeps images together in the carve-out: ``auto`` (a column or file names of well-known
            sets), ``none``, a column of a list of images, or a regular expression for the paths.
        skip_corrupt: Leave out unreadable files, and report them.
        memory_gb: A larger data set stays on disk, in 10^9 bytes.
        workers: Processes that decode a data set on disk.
    """

    path: str
    size: Count = 48
    color: bool = False
    val_fraction: Number = 0.1
    split_seed: int = 0
    group: str = "auto"
    skip_corrupt: bool = False
    memory_gb: NotNegative = 2.0
    workers: NotNegativeInt = 2


class FolderConfig(ImageFilesConfig):
    """Image folders: ``train/``, ``test/`` and optionally ``val/``, or the emotion folders alone.

    Attributes:
        labels: Emotions of numbered folders, from the lowest number on.
    """

    name: Literal["folder"] = "folder"
    labels: list[str] | None = None
    batch_size: Count = 64
    eval_batch_size: Count = 256


class RAFDBConfig(ImageFilesConfig):
    """RAF-DB, basic emotions: ``list_patition_label.txt`` and ``aligned/``."""

    name: Literal["rafdb"] = "rafdb"
    color: bool = True
    batch_size: Count = 64
    eval_batch_size: Count = 256


class AffectNetConfig(ImageFilesConfig):
    """AffectNet, manual annotations: CSV files with their images, or ``train_set/`` and ``val_set/``."""

    name: Literal["affectnet"] = "affectnet"
    color: bool = True


class SyntheticConfig(DataConfig):
    """Synthetic faces with seven emotions.

    Attributes:
        num_train, num_val, num_test: Images of each split.
        size: Side, in pixels.
        color: RGB; otherwise gray.
        difficulty: 0 (frontal, clear, strong expressions) to 1.
        seed: Seed of the faces.
    """

    name: Literal["synthetic"] = "synthetic"
    num_train: NotNegativeInt = 4000
    num_val: NotNegativeInt = 700
    num_test: NotNegativeInt = 700
    # Below 16 pixels no face can be recognized.
    size: Annotated[int, Field(ge=16)] = 48
    color: bool = False
    difficulty: Fraction = 1.0
    seed: NotNegativeInt = 0
    batch_size: Count = 32


class ConcatConfig(DataConfig):
    """Several sources together: one label space, one image size, copies between sources removed.

    Attributes:
        sources: Configs of data sets, without the options of the combined one.
        labels: ``fer7``, ``ferplus8``, ``affectnet8`` or ``rafdb7``.
        size: Side at which images are stored, in pixels.
        color: RGB; otherwise gray.
        val_from: The source that validates, by name or number from 1; None: all with a validation part.
    """

    name: Literal["concat"] = "concat"
    sources: list[DataConfig]
    labels: Literal[tuple(SPACES)] = "fer7"  # type: ignore[valid-type]
    size: Count = 48
    color: bool = False
    val_from: str | int | None = None

    @model_validator(mode="before")
    @classmethod
    def _check_sources(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "sources" in values:
            _check_sources(values["sources"])
        return values

    @field_serializer("sources")
    def _dump_sources(self, sources: list[DataConfig]) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in source.to_dict().items() if key not in _COMBINED}
            for source in sources
        ]


def with_former_groups(config: DataConfig) -> DataConfig:
    """Return the stored config of a run; one without ``group`` was trained before there were groups."""
    if isinstance(config, ConcatConfig):
        return config.replace(sources=[with_former_groups(source) for source in config.sources])
    is_older = isinstance(config, ImageFilesConfig) and "group" not in config.model_fields_set
    return config.replace(group="none") if is_older else config


def _check_sources(sources: object) -> None:
    """Check what pydantic's messages would not explain: which source is wrong, and what it may contain."""
    if not isinstance(sources, list) or not sources:
        raise FerError(f"datamodule.sources: expected {_SOURCES_EXAMPLE}, got {sources!r}.")
    for position, source in enumerate(sources):
        if not isinstance(source, DataConfig):
            _check_source(source, f"datamodule.sources, entry {position + 1}")


def _check_source(source: object, location: str) -> None:
    choices = {name: choice for name, choice in DataConfig.choices().items() if choice is not ConcatConfig}
    name = source.get("name") if isinstance(source, Mapping) else None
    if not isinstance(source, Mapping) or name not in choices:
        expected = f"a name ({', '.join(sorted(choices))}), as in {_SOURCES_EXAMPLE}"
        raise FerError(f"{location}: expected {expected}, got {name!r}.{did_you_mean(str(name), choices)}")
    fields = choices[name].model_fields
    options = ["name", *(key for key in fields if key not in (*_COMBINED, "name"))]
    if unknown := [str(option) for option in source if str(option) not in options]:
        hint = did_you_mean(unknown[0], options)
        raise FerError(
            f"{location}: expected options of {name} ({', '.join(options)}), got {unknown[0]!r}.{hint}"
        )
    if missing := [key for key in options if fields[key].is_required() and key not in source]:
        raise FerError(f"{location}: {name} needs {missing[0]}. Add {missing[0]}: … to it.")


for _config, _reader in (
    (FER2013Config, "factory:fer2013_set"),
    (FERPlusConfig, "factory:ferplus_set"),
    (FolderConfig, "folder:read_folder"),
    (RAFDBConfig, "rafdb:read_rafdb"),
    (AffectNetConfig, "affectnet:read_affectnet"),
    (SyntheticConfig, "factory:synthetic_set"),
    (ConcatConfig, "factory:concat_set"),
):
    READERS.add(_config.model_fields["name"].default, f"fer.data.readers.{_reader}", _config)
