"""EmotionModule, the LightningModule: its steps, metrics and optimizer."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, from_dict, to_dict
from fer.data.datamodule import EmotionDataModule
from fer.models.config import AttentionConfig, ModelConfig
from fer.models.factory import build_model
from fer.training.batches import Batch, Mix, as_batch, class_numbers, loss_and_sums
from fer.training.config import RunConfig
from fer.training.loss_factory import build_target, build_training_loss, target_columns
from fer.training.metrics import build_metrics, scalar_metrics
from fer.training.optim import build_optimizer
from fer.training.recipe import (
    ImbalanceConfig,
    LossConfig,
    MixConfig,
    OptimizerConfig,
    SchedulerConfig,
)
from fer.training.schedules import build_scheduler
from fer.training.sources import SourceMetrics, check_sources
from fer.training.transfer import loaded_origin

# Names of Lightning for training in double precision.
FLOAT64 = ("64", "64-true")


class EmotionModule(pl.LightningModule):
    """Train and validate an emotion classifier.

    Each part is a config, its plain values, or its name: one of Hydra's choices (the files of ``conf/``) or,
    for ``model`` and ``optimizer``, a name of timm. A checkpoint stores plain values only, so that it loads
    with ``weights_only=True`` and `fer.load_checkpoint`.

    Args:
        model: The network; its name, or `fer.models.config.ModelConfig`.
        attention: The attention on its feature map.
        labels: Label space of the data, such as ``EmotionDataModule.labels``.
        loss: As in the config of fer-train.
        imbalance: Likewise.
        mix: Likewise.
        scheduler: Likewise.
        optimizer: Likewise; ``lr`` and ``weight_decay`` replace its values.
        monitor: Metric that ``scheduler=plateau`` watches.
        seed: Seed of `Mix`.
        image_channels: Channels of the images, 1 or 3.
        config: The complete config of a run, in place of all of the above but ``labels`` and
            ``image_channels``.
        train_counts: Training samples of each emotion, ``(K,)``, for class weights.
        manifest: Manifest of the data, split by split; it is stored in the checkpoint.
        label_given_vote: P(label | vote), ``(K, K)``, for ``loss=expected_labels``.
        source_counts: Training samples of each emotion in each source, ``(S, K)``, for
            ``loss.source_adjustment``.

    The last four are taken from the `EmotionDataModule` at the start of a fit, unless they are given.

    Fit, validate, test, predict and Lightning's Tuner work with an `EmotionDataModule`, and with any loader
    whose batches are ``{"image": float (B, C, S, S) in [0, 1], "target": int64 (B,)}``, pairs
    ``(image, target)``, or for predict images alone; uint8 images are scaled to [0, 1]. Targets may be
    distributions, float ``(B, K)``. Logged are ``loss``, ``accuracy``, ``macro_f1``, ``uar``, ``ece`` and
    metrics by emotion as ``val/…`` and ``test/…``, and ``train/loss`` and ``train/accuracy`` of each epoch.
    Predict returns probabilities ``(B, K)``.

    Attributes:
        lr: Peak learning rate; setting it changes the config as well, as Lightning's ``lr_find`` does.
        confusion: Confusion matrix ``(K, K)`` of the last evaluation, true emotions in rows.

    Raises:
        FerError: A value is invalid; the message names its key.

    Example:
        >>> from fer.core.labels import SPACES
        >>> module = EmotionModule("fast_cnn", "spatial", labels=SPACES["fer7"], optimizer="adamw", lr=1e-3)
        >>> module(torch.zeros(2, 1, 48, 48)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        model: Part = "fast_cnn",
        attention: Part = "none",
        *,
        labels: LabelSpace | Mapping[str, Any],
        loss: Part = "cross_entropy",
        imbalance: Part = "none",
        mix: Part = "none",
        optimizer: Part = "adamw",
        lr: float | None = None,
        weight_decay: float | None = None,
        scheduler: Part = "cosine",
        monitor: str = "val/accuracy",
        seed: int = 0,
        image_channels: int = 1,
        config: RunConfig | Mapping[str, Any] | None = None,
        train_counts: list[int] | None = None,
        manifest: dict[str, Any] | None = None,
        label_given_vote: list[list[float]] | None = None,
        source_counts: list[list[int]] | None = None,
    ) -> None:
        super().__init__()
        if config is None:
            given = {"lr": lr, "weight_decay": weight_decay}
            rates = {name: rate for name, rate in given.items() if rate is not None}
            parts = {"model": ModelConfig.of(model), "attention": AttentionConfig.of(attention),
                     "loss": LossConfig.of(loss), "imbalance": ImbalanceConfig.of(imbalance),
                     "optimizer": OptimizerConfig.of(optimizer).replace(**rates),
                     "scheduler": SchedulerConfig.of(scheduler), "mix": MixConfig.of(mix)}  # fmt: skip
            config = RunConfig.from_dict({**parts, "monitor": monitor, "seed": seed})
        self.config = RunConfig.of(config)
        self.labels: LabelSpace = labels if isinstance(labels, LabelSpace) else from_dict(labels)
        self.save_hyperparameters(
            {
                "config": self.config.to_dict(),
                "labels": to_dict(self.labels),
                "train_counts": train_counts,
                "image_channels": image_channels,
                "manifest": manifest,
                "label_given_vote": label_given_vote,
                "source_counts": source_counts,
            },
            logger=False,
        )
        self.model = build_model(self.config.model, len(self.labels), image_channels, self.config.attention)
        if hasattr(self.model.backbone, "stem"):
            # The stem that ``auto`` resolved to; a later version may choose another.
            self.hparams["stem"] = self.model.backbone.stem
        self._build_loss()
        self.mix = Mix(self.config.mix, target_columns(self.config, len(self.labels)), self.config.seed)
        self.metrics = build_metrics(len(self.labels), self.labels.names)
        self.sources: SourceMetrics | None = None
        self.sums: dict[str, Tensor] = {}
        # Replaced by ``compile=…``.
        self.compiled_step: Callable[..., tuple[Tensor, Tensor, Tensor]] = loss_and_sums
        self._takes_facts = manifest is None
        self._loaded_epoch: int | None = None
        is_last = self.config.channels_last
        self.memory_format = torch.channels_last if is_last else torch.contiguous_format
        self.model.to(memory_format=self.memory_format)
        if str(self.config.trainer.precision) in FLOAT64:
            self.double()

    def _build_loss(self) -> None:
        self.loss = build_training_loss(self.config, self.hparams, len(self.labels))

    @property
    def lr(self) -> float:
        """Peak learning rate."""
        return self.config.optimizer.lr

    @lr.setter
    def lr(self, value: float) -> None:
        optimizer = self.config.optimizer.replace(lr=float(value))
        self.config = self.config.replace(optimizer=optimizer)
        self.hparams["config"] = {**self.hparams["config"], "optimizer": optimizer.to_dict()}

    def setup(self, stage: str) -> None:
        """Check that the data fit; before training take counts and manifest, unless they were given.

        Raises:
            FerError: The data have another number of channels or other labels than the module.
        """
        if self.trainer.precision == "64-true":
            # Lightning converts the module only after it has loaded a checkpoint, which would be rounded.
            self.double()
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, EmotionDataModule):
            return
        for key, expected, got in (
            ("image_channels", data.image_channels, self.hparams["image_channels"]),
            ("labels", data.labels.names, self.labels.names),
        ):
            if expected != got:
                raise FerError(f"{key}: expected {expected}, as in the data, got {got}. Set {key}=dm.{key}.")
        if stage == "fit":
            check_sources(self.config.loss.source_adjustment, data.source_counts)
        if stage == "fit" and self._takes_facts:
            self._take_facts(data)
        if data.data.source_names:
            self.sources = SourceMetrics(data.data.source_names, len(self.labels)).to(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note that weights were loaded with ``load_from_checkpoint``, which a later fit records."""
        # A fit that is resumed has a trainer.
        if self._trainer is None and self.hparams["manifest"] is not None:
            self._loaded_epoch, self._takes_facts = checkpoint["epoch"] + 1, True

    def _record_origin(self) -> None:
        """Store the training of a loaded checkpoint as the source of the initial weights."""
        self.hparams.update(loaded_origin(self.hparams, self._loaded_epoch))
        self._loaded_epoch = None

    def _take_facts(self, data: EmotionDataModule) -> None:
        """Store the facts about the training data that a checkpoint has."""
        if self._loaded_epoch is not None:
            self._record_origin()
        config = {**self.hparams["config"], "datamodule": data.config and data.config.to_dict()}
        found: dict[str, Any] = {
            "config": config,
            "train_counts": data.train_counts,
            "manifest": data.manifest,
        }
        origins = (self.hparams.get("sketches") or {}).get("init_from", [])
        found["sketches"] = {"splits": data.sketches, "init_from": origins}
        found |= {"label_given_vote": data.label_given_vote, "source_counts": data.source_counts}
        self.hparams.update(found)
        self._build_loss()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K)`` for float images ``(B, C, S, S)`` in [0, 1]."""
        return self.model(image.to(self.dtype).contiguous(memory_format=self.memory_format))

    def _shared_step(self, image: Tensor, target: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch, and add them to the epoch sums."""
        step = self.compiled_step if stage == "train" else loss_and_sums
        loss, logits, sums = step(image, target, self, self.loss if stage == "train" else F.cross_entropy)
        # The second pass of SAM over a batch is not counted again.
        if not any(getattr(one, "second_pass", False) for one in self.trainer.optimizers):
            # A copy, because the next run of a CUDA graph overwrites its results.
            self.sums[stage] = self.sums[stage] + sums if stage in self.sums else sums.clone()
        return loss, logits

    def epoch_metrics(self, stage: str) -> dict[str, Tensor]:
        """Return loss and accuracy of the epoch as ``train/…``, ``val/…`` or ``test/…``, and reset the sums.

        They are computed over the images of all processes.

        Raises:
            FerError: No image could be read.
        """
        # A process without an image has none.
        sums = self.sums.pop(stage, torch.zeros(3, device=self.device))
        loss, correct, count = cast(Tensor, self.trainer.strategy.reduce(sums, reduce_op="sum"))
        if not count:
            raise FerError(
                f"datamodule.path: expected readable images in the {stage} split, got none in this epoch. "
                "Check that the folder still exists."
            )
        return {f"{stage}/loss": loss / count, f"{stage}/accuracy": correct / count}

    def on_fit_start(self) -> None:
        """Forget what Lightning's Tuner has counted, and store the batch size that it has found."""
        self.sums, data = {}, getattr(self.trainer, "datamodule", None)
        if self._takes_facts and isinstance(data, EmotionDataModule) and data.config is not None:
            self.hparams["config"] = {**self.hparams["config"], "datamodule": data.config.to_dict()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the loss of a batch after mixing; None or 0 if no image could be read."""
        batch = as_batch(batch)
        if not len(batch["image"]):
            return self._empty_loss(batch_idx)
        target = build_target(self.loss, batch)
        image, target = self.mix(batch["image"], target, self.current_epoch, batch_idx)
        return self._shared_step(image, target, "train")[0]

    def _empty_loss(self, batch_idx: int) -> Tensor | None:
        """Return None, which skips the batch, or a loss of 0 if gradients of earlier batches are accumulated.

        With a gradient scaler, None would also skip the optimizer step that applies those gradients.
        """
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            return None
        weights = (weight for weight in self.parameters() if weight.grad is not None)
        return next((weight.sum() * 0.0 for weight in weights), None)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor] | None:
        """Update the metrics; return ``logits`` and ``index`` for callbacks.

        The validation loss is plain cross-entropy for any training loss.
        """
        return self._evaluation_step(as_batch(batch), "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor] | None:
        """Update the metrics as in validation; return ``logits`` and ``index`` for callbacks."""
        return self._evaluation_step(as_batch(batch), "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return probabilities, float32 ``(B, K)``."""
        return self(as_batch(batch)["image"]).float().softmax(1)

    def _evaluation_step(self, batch: Batch, stage: str) -> dict[str, Tensor] | None:
        """Return ``logits`` and ``index`` of a batch; None without them, as if no image could be read."""
        if not len(batch["image"]):
            return None
        _, logits = self._shared_step(batch["image"], batch["target"], stage)
        self.metrics.update(logits.float(), class_numbers(batch["target"]))
        if self.sources is not None and "source" in batch:
            self.sources.update(logits.argmax(1), class_numbers(batch["target"]), batch["source"])
        return {"logits": logits, "index": batch["index"]} if "index" in batch else None

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the epoch, unless a callback of fer-train has done so."""
        if "train" in self.sums:
            self.log_dict(self.epoch_metrics("train"), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the split; store its confusion matrix ``(K, K)`` in ``self.confusion``."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the split; store its confusion matrix ``(K, K)`` in ``self.confusion``."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        loss_and_accuracy = self.epoch_metrics(stage)
        values = self.metrics.compute()
        self.confusion = values["confusion"].cpu().numpy()
        scores = scalar_metrics(values, self.labels.names, stage)
        self.log_dict(loss_and_accuracy, prog_bar=True)
        self.log_dict({name: score for name, score in scores.items() if name not in loss_and_accuracy})
        if self.sources is not None and stage == "val":
            self.log_dict(self.sources.compute())
        # Trainer.validate runs in inference mode, whose tensors a later fit could not update.
        with torch.inference_mode(False):
            self.metrics.reset()
            if self.sources is not None:
                self.sources.reset()

    def configure_optimizers(self) -> Any:
        """Build optimizer and learning-rate schedule from the config and the number of training steps.

        Raises:
            FerError: The schedule depends on the number of steps, which is unlimited.
        """
        optimizer = build_optimizer(self.model, self._optimizer_config())
        total = self.trainer.estimated_stepping_batches
        per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        monitor, mode = self.config.monitor, self.config.mode
        schedule = build_scheduler(optimizer, self.config.scheduler, total, per_epoch, monitor, mode)
        if "monitor" in schedule:
            # The monitored metric exists only after epochs with a validation.
            schedule["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _optimizer_config(self) -> OptimizerConfig:
        """Return the optimizer's config, without ``fused`` where Lightning could not clip gradients."""
        config = self.config.optimizer
        if self.trainer.gradient_clip_val and isinstance(self.trainer.precision_plugin, MixedPrecision):
            return config.without("fused")
        return config
