"""`RunConfig`, the typed config of a training run, and its parts.

Hydra's YAML files in ``conf/`` fill it (`fer.training.overrides`), checkpoints and ``config.yaml`` store it
as plain values, and everything else reads it by attribute. Imports neither torch nor Hydra, so that a
mistyped option is reported at once.
"""

from collections.abc import Mapping
from operator import not_
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from fer.core.config import Choice, Config, Count, NotNegative, Number, Positive
from fer.core.errors import FerError
from fer.core.names import MAX_WANDB_TAG
from fer.data.augment_config import AugmentationConfig
from fer.data.config import DataConfig
from fer.models.config import AttentionConfig, ModelConfig, NoAttention
from fer.training.callback_config import CallbacksConfig, OwnParts
from fer.training.metrics import check_monitor, current_name, monitor_mode
from fer.training.plugin_use import with_plugins
from fer.training.recipe import (
    CosineConfig,
    CrossEntropyConfig,
    DistillConfig,
    ImbalanceConfig,
    LossConfig,
    MixConfig,
    NoMixConfig,
    OptimizerConfig,
    SchedulerConfig,
    SimpleImbalanceConfig,
)
from fer.training.wandb_config import WandbConfig as WandbConfig

_PROGRESSIVE = (
    "[[fraction of the epochs, px], …] such as [[0, 32], [0.6, 48]], with fractions from 0 to 1 and at least "
    "16 px"
)


# Values of ``distill`` in ``conf/train.yaml`` beside its teachers.
_NO_DISTILL = {name: DistillConfig.model_fields[name].default for name in ("weight", "temperature")}


class TrainerConfig(Config):
    """Plain arguments of Lightning's Trainer, with its meanings; ``precision`` may also be ``auto``."""

    key: ClassVar[str] = "trainer"
    advice: ClassVar[Mapping[str, str]] = {"limit_train_batches": "Remove it to train on all batches."}
    max_epochs: Count = 15
    precision: str | int | None = "auto"
    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    strategy: str = "auto"
    num_nodes: Count = 1
    fast_dev_run: bool | int = False
    min_epochs: int | None = None
    max_steps: int = -1
    min_steps: int | None = None
    max_time: Annotated[str | dict[str, int] | None, Field(description='"DD:HH:MM:SS"')] = None
    limit_train_batches: Positive | None = None
    limit_val_batches: NotNegative | None = None
    limit_test_batches: NotNegative | None = None
    limit_predict_batches: NotNegative | None = None
    overfit_batches: NotNegative = 0.0
    val_check_interval: Number | str | None = None
    check_val_every_n_epoch: Count | None = 1
    num_sanity_val_steps: int = 0
    log_every_n_steps: Annotated[int, Field(ge=0)] | None = None
    enable_checkpointing: bool | None = None
    enable_progress_bar: bool | None = None
    enable_model_summary: bool | None = False
    accumulate_grad_batches: Count = 1
    gradient_clip_val: Number | None = None
    gradient_clip_algorithm: str | None = None
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    inference_mode: bool = True
    profiler: Literal["simple", "advanced", "pytorch"] | None = None
    detect_anomaly: bool = False
    barebones: bool = False
    sync_batchnorm: bool = False
    reload_dataloaders_every_n_epochs: int = 0


def _check_tag(tag: str) -> str:
    if not 0 < len(tag) <= MAX_WANDB_TAG:
        raise FerError(f"tags: expected tags of 1 to {MAX_WANDB_TAG} characters, got {tag!r}. Shorten it.")
    return tag


# As W&B accepts them.
Tags = list[Annotated[str, AfterValidator(_check_tag)]]


class LoggerConfig(Config):
    """Loggers beside metrics.csv and plots, which are always written."""

    key: ClassVar[str] = "logger"
    wandb: WandbConfig | None = None
    tensorboard: bool = False


class RunConfig(Config):
    """The config of a training run.

    Attributes:
        datamodule: The data set; None where it is not known, as for a module built in Python.
        seed: Seed of weights, order and augmentation.
        plugins: Modules that were imported for parts of one's own; a stored config never imports them.
        monitor_mode: Whether a lower or a higher monitor is better; None: as the metric declares.
        monitor: Metric that selects the best checkpoint, stops early, and drives ``scheduler=plateau``.
        early_stopping_patience: Validations without improvement; None: no early stopping.
        ema: Exponential moving average of the weights.
        ema_decay: Decay of the average per step.
        resume: Folder of a run to resume.
        distill: Learn from other models as well; None: from the labels alone.
        progressive: ``[[fraction of the epochs done, side in pixels], …]``.
        channels_last: Memory layout of images and weights.
        compile: Compile training steps with ``torch.compile``: true, or a mode of it.
        test: Score the best checkpoint on the test split after training.
        tags: In ``run.json`` and W&B.
        output_dir: Folder of all runs.
        name: Name of the run.
        threads: CPU threads of this process; None: all cores that it may use.
        own_parts: Classes that the command line names by ``_target_``; in no dict, file or checkpoint.
    """

    datamodule: DataConfig | None = None
    model: ModelConfig
    attention: AttentionConfig = Field(default_factory=NoAttention)
    loss: LossConfig = Field(default_factory=CrossEntropyConfig)
    imbalance: ImbalanceConfig = Field(default_factory=SimpleImbalanceConfig)
    optimizer: OptimizerConfig = Field(
        default_factory=lambda: OptimizerConfig(name="adamw", weight_decay=0.05)
    )
    scheduler: SchedulerConfig = Field(default_factory=CosineConfig)
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    mix: MixConfig = Field(default_factory=NoMixConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)
    callbacks: CallbacksConfig = Field(default_factory=CallbacksConfig)
    logger: LoggerConfig = Field(default_factory=LoggerConfig)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    plugins: Annotated[list[str], Field(exclude_if=not_)] = Field(default_factory=list)
    monitor_mode: Annotated[Literal["min", "max"] | None, Field(exclude_if=not_)] = None
    monitor: str = "val/accuracy"
    early_stopping_patience: Annotated[int, Field(ge=0)] | None = None
    ema: bool = False
    ema_decay: Annotated[Number, Field(gt=0, lt=1)] = 0.998
    resume: str | None = None
    distill: Annotated[DistillConfig | None, Field(exclude_if=not_)] = None
    progressive: list[list[int | float]] = Field(default_factory=list)
    channels_last: bool = True
    compile: bool | Literal["default", "reduce-overhead", "max-autotune"] = False
    test: bool = False
    tags: Tags = Field(default_factory=list)
    output_dir: str = "outputs"
    name: str = ""
    threads: Annotated[Count | None, Field(exclude_if=not_)] = None
    own_parts: Annotated[OwnParts | None, Field(exclude=True)] = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: dict[str, Any]) -> Any:
        """Drop leftovers, name plugins, and store images at the side of the model input by default."""
        values = with_plugins(values)
        for key, field in cls.model_fields.items():
            group = field.annotation
            if isinstance(values.get(key), Mapping) and isinstance(group, type) and issubclass(group, Choice):
                values = {**values, key: group.without_leftovers(values[key])}
        data, model = values.get("datamodule"), values.get("model")
        if not isinstance(data, Mapping):
            return values
        size = model.get("image_size", 48) if isinstance(model, Mapping) else getattr(model, "image_size", 48)
        return {**values, "datamodule": DataConfig.create(data, size)}

    @field_validator("monitor", mode="before")
    @classmethod
    def _check_monitor(cls, monitor: Any, info: ValidationInfo) -> Any:
        check_monitor(monitor, info.data.get("monitor_mode"))
        return current_name(monitor)

    @field_validator("distill", mode="before")
    @classmethod
    def _check_distill(cls, values: Any) -> Any:
        """Return None for the values of ``conf/train.yaml``, which have no teacher."""
        if not isinstance(values, Mapping) or values.get("teachers"):
            return values
        changed = [key for key, value in _NO_DISTILL.items() if values.get(key, value) != value]
        if changed:
            raise FerError(
                f"distill.{changed[0]}: expected a teacher as well, got none. Add distill=RUN, the folder of "
                "a run or of a bundle."
            )
        return None

    @field_validator("progressive", mode="before")
    @classmethod
    def _check_progressive(cls, stages: Any) -> Any:
        if not isinstance(stages, list | tuple) or not all(map(_is_stage, stages)):
            raise FerError(f"progressive: expected {_PROGRESSIVE}, got {stages!r}.")
        return [list(stage) for stage in stages]

    @property
    def data(self) -> DataConfig:
        """The data set.

        Raises:
            FerError: It is not known.
        """
        if self.datamodule is None:
            raise FerError(
                "datamodule: expected the data set of the run, got none: it was trained from Python."
            )
        return self.datamodule

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether a lower or a higher monitor is better."""
        return self.monitor_mode or monitor_mode(self.monitor)

    def with_path(self, path: str) -> Self:
        """Return the config with another path of the data."""
        return self.replace(datamodule=self.data.replace(path=path))


def _is_stage(stage: object) -> bool:
    if not isinstance(stage, list | tuple) or len(stage) != 2:
        return False
    start, size = stage
    return isinstance(start, int | float) and 0 <= start <= 1 and isinstance(size, int) and size >= 16
