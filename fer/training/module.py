"""EmotionModule, the LightningModule: training and validation step, and optimizer; Mixup and CutMix."""

import math
import random
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the usual alias
from torchvision.transforms import v2

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, from_dict, to_dict
from fer.data.datamodule import EmotionDataModule
from fer.models.config import AttentionConfig, ModelConfig
from fer.models.factory import build_model
from fer.training.config import RunConfig
from fer.training.loss_factory import build_loss
from fer.training.metrics import build_metrics, scalar_metrics
from fer.training.optim import build_optimizer, build_scheduler
from fer.training.recipe import (
    ImbalanceConfig,
    LossConfig,
    MixConfig,
    OptimizerConfig,
    PairMixConfig,
    SchedulerConfig,
)

Batch = Mapping[str, Tensor]
# Names of Lightning for training in double precision.
FLOAT64 = ("64", "64-true")
MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


class EmotionModule(pl.LightningModule):
    """Train and validate an emotion classifier.

    Each part is a config, its plain values, or its name: one of Hydra's choices (the files of ``conf/``) or,
    for ``model`` and ``optimizer``, a name of timm. A checkpoint stores plain values only, so that it loads
    with ``weights_only=True`` and `fer.load_checkpoint`.

    Args:
        model: The network; its name, or `fer.models.config.ModelConfig`.
        attention: The attention on its feature map.
        labels: Label space of the data, such as ``EmotionDataModule.labels``.
        loss, imbalance, mix, scheduler: As in the config of fer-train.
        optimizer: Likewise; ``lr`` and ``weight_decay`` replace its values.
        monitor: Metric that ``scheduler=plateau`` watches.
        seed: Seed of `Mix`.
        image_channels: Channels of the images, 1 or 3.
        config: The complete config of a run, in place of all of the above but ``labels`` and
            ``image_channels``.
        train_counts: Training samples of each emotion, ``(K,)``, for class weights.
        manifest: Manifest of the data, split by split; it is stored in the checkpoint.
        label_given_vote: P(label | vote), ``(K, K)``, for ``loss=expected_labels``.

    The last three are taken from the `EmotionDataModule` at the start of a fit, unless they are given.

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
            },
            logger=False,
        )
        self.model = build_model(self.config.model, len(self.labels), image_channels, self.config.attention)
        if hasattr(self.model.backbone, "stem"):
            # The stem that ``auto`` resolved to; a later version may choose another.
            self.hparams["stem"] = self.model.backbone.stem
        self._build_loss()
        self.mix = Mix(self.config.mix, len(self.labels), self.config.seed)
        self.metrics = build_metrics(len(self.labels))
        is_last = self.config.channels_last
        self.memory_format = torch.channels_last if is_last else torch.contiguous_format
        self.model.to(memory_format=self.memory_format)
        if str(self.config.trainer.precision) in FLOAT64:
            self.double()

    def _build_loss(self) -> None:
        counts = self.hparams["train_counts"] or [1] * len(self.labels)
        votes = self.hparams["label_given_vote"]
        self.loss = build_loss(self.config.loss, self.config.imbalance, counts, votes)

    def setup(self, stage: str) -> None:
        """Take counts and manifest from the data module, unless they were given.

        Raises:
            FerError: The data have another number of channels or other labels than the module.
        """
        if self.trainer.precision == "64-true":
            # Lightning converts the module only after it has loaded a checkpoint, which would be rounded.
            self.double()
        data = getattr(self.trainer, "datamodule", None)
        if stage != "fit" or self.hparams["manifest"] is not None or not isinstance(data, EmotionDataModule):
            return
        for key, expected, got in (
            ("image_channels", data.image_channels, self.hparams["image_channels"]),
            ("labels", data.labels.names, self.labels.names),
        ):
            if expected != got:
                raise FerError(f"{key}: expected {expected}, as in the data, got {got}. Set {key}=dm.{key}.")
        config = {**self.hparams["config"], "datamodule": data.config and data.config.to_dict()}
        found = {"config": config, "train_counts": data.train_counts, "manifest": data.manifest}
        self.hparams.update(found | {"label_given_vote": data.label_given_vote})
        self._build_loss()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K)`` for float images ``(B, C, S, S)`` in [0, 1]."""
        return self.model(image.to(self.dtype).contiguous(memory_format=self.memory_format))

    def _shared_step(self, image: Tensor, target: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch, and add them to the epoch sums."""
        logits = self(image)
        loss = (self.loss if stage == "train" else F.cross_entropy)(logits, target)
        # The second pass of SAM over a batch is not counted again.
        if not any(getattr(optimizer, "second_pass", False) for optimizer in self.trainer.optimizers):
            self._accumulate(logits.detach(), target, loss.detach(), stage)
        return loss, logits

    def _accumulate(self, logits: Tensor, target: Tensor, loss: Tensor, stage: str) -> None:
        """Add a batch to the epoch sums; the label of a distribution is its most probable class.

        The sums stay on the device, because ``self.log`` in each step took a tenth of the time of the fast
        CNN. Nothing is copied to the device either, because the step would wait for the copy.
        """
        label = target if target.ndim == 1 else target.argmax(1)
        correct = (logits.argmax(1) == label).sum()
        count = torch.full_like(correct, len(target))
        self.sums[stage] += torch.stack([loss.float() * count, correct, count])

    def epoch_metrics(self, stage: str) -> dict[str, Tensor]:
        """Return loss and accuracy of the epoch as ``train/…`` or ``val/…``, and reset the sums.

        They are computed over the images of all processes.

        Raises:
            FerError: No image could be read.
        """
        loss, correct, count = self.trainer.strategy.reduce(self.sums[stage].clone(), reduce_op="sum")
        self.sums[stage].zero_()
        if not count:
            raise FerError(
                f"datamodule.path: expected readable images in the {stage} split, got none in this epoch. "
                "Check that the folder still exists."
            )
        return {f"{stage}/loss": loss / count, f"{stage}/accuracy": correct / count}

    def on_fit_start(self) -> None:
        """Create the epoch sums on the device: loss, correct predictions, images."""
        self.sums = {stage: torch.zeros(3, device=self.device) for stage in ("train", "val")}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the loss of a batch after mixing; None or 0 if no image could be read."""
        if not len(batch["image"]):
            return self._empty_loss(batch_idx)
        target = self.loss.build_target(batch["target"], batch.get("votes"))
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

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics; the validation loss is plain cross-entropy for any training loss."""
        if not len(batch["image"]):
            return
        _, logits = self._shared_step(batch["image"], batch["target"], "val")
        self.metrics.update(logits.float(), batch["target"])

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the epoch, unless a callback of fer-train has done so."""
        if self.sums["train"].any():
            self.log_dict(self.epoch_metrics("train"))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the split; store its confusion matrix ``(K, K)`` in ``self.confusion``."""
        loss_and_accuracy = self.epoch_metrics("val")
        values = self.metrics.compute()
        self.confusion = values["confusion"].cpu().numpy()
        self.log_dict(loss_and_accuracy | scalar_metrics(values, self.labels.names, "val"))
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """Build optimizer and learning-rate schedule from the config and the number of training steps.

        Raises:
            FerError: The schedule depends on the number of steps, which is unlimited.
        """
        optimizer = build_optimizer(self.model, self._optimizer_config())
        total = self.trainer.estimated_stepping_batches
        per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        schedule = build_scheduler(optimizer, self.config.scheduler, total, per_epoch, self.config.monitor)
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


class Mix:
    """Mix each image of a batch with its neighbour, with one mixing ratio per batch.

    Mixup averages the images (Zhang et al. 2018, https://arxiv.org/abs/1710.09412). CutMix pastes a rectangle
    of one into the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899). The labels are averaged with
    the same ratio. Batches are shuffled, so the neighbour is a random image.

    The random numbers depend only on seed, epoch and batch. A resumed run and the second pass of SAM get the
    same mixture, and other random numbers are not affected.

    Args:
        mix: The `MixConfig`, its plain values, or its name.
        num_classes: Number of emotions.
        seed: Seed of the random numbers.
    """

    def __init__(self, mix: Part, num_classes: int, seed: int) -> None:
        self.seed, self.config = seed, MixConfig.of(mix)
        if isinstance(self.config, PairMixConfig):
            self.transform = MIXES[self.config.name](alpha=self.config.alpha, num_classes=num_classes)

    def __call__(self, image: Tensor, target: Tensor, epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """Return the batch, mixed or unchanged.

        Args:
            image: float ``(B, C, S, S)``.
            target: int64 ``(B,)`` or float ``(B, K)``.
            epoch: Number of the epoch.
            batch: Number of the batch within the epoch.

        Returns:
            Images of the same shape, and the target: float ``(B, K)`` if mixed, otherwise unchanged.
        """
        rng = random.Random(f"mix {self.seed} {epoch} {batch}")
        if not isinstance(self.config, PairMixConfig) or rng.random() >= self.config.probability:
            return image, target
        # Torchvision uses the global CPU generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.getrandbits(63))
            mixed: tuple[Tensor, Tensor] = self.transform(image, target)
        return mixed
