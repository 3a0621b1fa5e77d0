"""`WandbConfig`, the options of a run in Weights & Biases."""

import inspect
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from fer.core.config import Config
from fer.core.errors import FerError, did_you_mean
from fer.core.names import MAX_WANDB_NAME, MAX_WANDB_TAG, is_wandb_project

Text = Annotated[str | None, Field(exclude_if=lambda value: value is None)]
Switch = Annotated[bool, Field(exclude_if=lambda value: value)]


class WandbConfig(Config):
    """Logging to Weights & Biases.

    Any further keyword of ``wandb.init`` is passed on, such as ``save_code=True``.

    Attributes:
        project, entity, group, job_type, name, notes, tags, id, mode, dir: As in ``wandb.init``. None or
            empty: those of the environment (``WANDB_PROJECT``, …), else project ``fer``, name and id of the
            run, and its folder.
        log_model: Upload the best checkpoint.
        samples: Log augmented faces at the start, and the worst errors of each new best epoch.
        plots: Log confusion matrix and scores by emotion of each new best epoch, and the learning curves.
        console: Log what the run prints.
        config: Added to the config that W&B shows; set for the trials of a sweep.
    """

    model_config = ConfigDict(extra="allow")
    key: ClassVar[str] = "logger.wandb"
    path_fields: ClassVar[tuple[str, ...]] = ("dir",)
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: Text = None
    name: Text = None
    notes: Text = None
    tags: list[str] = Field(default_factory=list)
    id: Text = None
    mode: Annotated[
        Literal["online", "offline", "disabled", "shared"] | None, Field(exclude_if=lambda mode: mode is None)
    ] = None
    dir: Text = None
    log_model: bool = True
    samples: Switch = True
    plots: Switch = True
    console: Switch = True
    config: dict[str, Any] = Field(default_factory=dict, exclude_if=lambda config: not config)

    @property
    def keywords(self) -> dict[str, Any]:
        """Further keywords of ``wandb.init``."""
        return dict(self.model_extra or {})

    @field_validator("project", "entity")
    @classmethod
    def _check_project(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and not is_wandb_project(text):
            raise FerError(
                f"logger.wandb.{info.field_name}: expected 1 to {MAX_WANDB_NAME} characters without "
                f"/ \\ # ? % :, got {text!r}. Choose another name."
            )
        return text

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            if not 0 < len(tag) <= MAX_WANDB_TAG:
                raise FerError(
                    f"logger.wandb.tags: expected tags of 1 to {MAX_WANDB_TAG} characters, got {tag!r}. "
                    "Shorten it."
                )
        return tags

    @model_validator(mode="after")
    def _check_keywords(self) -> "WandbConfig":
        if self.keywords:
            # Takes a second to import.
            import wandb

            known = sorted({*type(self).model_fields, *inspect.signature(wandb.init).parameters})
            if unknown := [name for name in self.keywords if name not in known]:
                hint = did_you_mean(unknown[0], known) or f" There are {', '.join(known)}."
                raise FerError(
                    f"logger.wandb.{unknown[0]}: expected a keyword of wandb.init, got another one.{hint}"
                )
        return self
