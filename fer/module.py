"""EmotionModule: the LightningModule. One shared step and the optimiser, nothing else."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.errors import FerError
from fer.labels import LabelSpace, from_dict
from fer.losses import build_loss
from fer.metrics import build_metrics, scalars
from fer.mixing import build_mix
from fer.models import build_model
from fer.optim import build_optimizer, build_scheduler
from fer.sam import SAM

Batch = Mapping[str, Tensor]


class EmotionModule(pl.LightningModule):
    """Train and validate an emotion classifier.

    All arguments are plain values, so that a checkpoint carries them and loads with ``weights_only=True``.

    Args:
        config: The resolved run config; ``model``, ``attention``, ``loss``, ``imbalance``, ``mix``,
            ``optimizer``, ``scheduler``, ``monitor``, ``seed`` and ``channels_last`` are read.
        labels: Label space as ``{"name": str, "names": list[str]}``.
        train_counts: Training samples of each emotion, ``(K,)``; the class weights come from them.
        image_channels: Channels of the images that the DataModule gives, 1 or 3.
        manifest: What the data was, split by split; it travels in the checkpoint.
        label_given_vote: How often each label goes with a vote, ``(K, K)``, for ``loss=expected_labels``.
    """

    def __init__(
        self,
        config: dict[str, Any],
        labels: dict[str, Any],
        train_counts: list[int],
        image_channels: int,
        manifest: dict[str, Any],
        label_given_vote: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.config = config
        self.labels: LabelSpace = from_dict(labels)
        self.model = build_model(
            {**config["model"], "attention": config["attention"]}, len(self.labels), image_channels
        )
        if hasattr(self.model.backbone, "stem"):  # what auto came to; a later version may choose another
            self.hparams["stem"] = self.model.backbone.stem
        self.loss = build_loss(config["loss"], config["imbalance"], train_counts, label_given_vote)
        self.mix = build_mix(config["mix"], len(self.labels), config["seed"])
        self.metrics = build_metrics(len(self.labels))
        self.memory_format = torch.channels_last if config["channels_last"] else torch.contiguous_format
        self.model.to(memory_format=self.memory_format)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K)`` of float images ``(B, C, S, S)`` in [0, 1]."""
        return self.model(image.to(self.dtype).contiguous(memory_format=self.memory_format))

    def _shared_step(self, image: Tensor, target: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch, and add them to the sums of the epoch."""
        logits = self(image)
        loss = (self.loss if stage == "train" else F.cross_entropy)(logits, target)
        if not self._is_second_pass():
            self._count(logits.detach(), target, loss.detach(), stage)
        return loss, logits

    def _is_second_pass(self) -> bool:
        """Return whether SAM computes a batch again, which counts once."""
        return any(
            isinstance(optimizer, SAM) and optimizer.second_pass for optimizer in self.trainer.optimizers
        )

    def _count(self, logits: Tensor, target: Tensor, loss: Tensor, stage: str) -> None:
        """Add a batch to the sums of the epoch; of a distribution the heaviest label is the right one.

        The sums stay on the device: ``self.log`` at each step took a tenth of the fast net's time. Nothing is
        brought there either, as the step would wait for it.
        """
        label = target if target.ndim == 1 else target.argmax(1)
        right = (logits.argmax(1) == label).sum()
        count = torch.full_like(right, len(target))
        self.sums[stage] += torch.stack([loss.float() * count, right, count])

    def figures(self, stage: str) -> dict[str, Tensor]:
        """Return loss and accuracy of the epoch so far as ``train/…`` or ``val/…``, and begin anew.

        They are those of all images, whichever process they were given to.

        Raises:
            FerError: There was none, as none could be read.
        """
        loss, right, count = self.trainer.strategy.reduce(self.sums[stage].clone(), reduce_op="sum")
        self.sums[stage].zero_()
        if not count:
            raise FerError(
                f"No picture of the {stage} part could be read in this epoch. Is its folder still there?"
            )
        return {f"{stage}/loss": loss / count, f"{stage}/accuracy": right / count}

    def on_fit_start(self) -> None:
        """Put the sums of an epoch on the device: loss, right answers, images."""
        self.sums = {stage: torch.zeros(3, device=self.device) for stage in ("train", "val")}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the loss of a batch, after mixing; None (no step) where no picture could be read."""
        if not len(batch["image"]):
            return None
        target = self.loss.target(batch["target"], batch.get("votes"))
        image, target = self.mix(batch["image"], target, self.current_epoch, batch_idx)
        return self._shared_step(image, target, "train")[0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Feed the metrics; the loss is plain cross-entropy, whatever is trained on."""
        if not len(batch["image"]):
            return
        _, logits = self._shared_step(batch["image"], batch["target"], "val")
        self.metrics.update(logits.float(), batch["target"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split; keep its confusion matrix ``(K, K)`` in ``self.confusion``."""
        figures = self.figures("val")
        values = self.metrics.compute()
        self.confusion = values["confusion"].cpu().numpy()
        self.log_dict(figures | scalars(values, self.labels.names, "val"))
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule from the config and the length of the training."""
        optimizer = build_optimizer(self.model, self._optimizer_options())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        schedule = build_scheduler(
            optimizer, self.config["scheduler"], total, per_epoch, self.config["monitor"]
        )
        if "monitor" in schedule:  # known only after epochs that end in a validation
            schedule["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _optimizer_options(self) -> dict[str, Any]:
        """Return the optimizer's options, without fused kernels where Lightning could not clip gradients."""
        options = dict(self.config["optimizer"])
        if self.trainer.gradient_clip_val and isinstance(self.trainer.precision_plugin, MixedPrecision):
            options.pop("fused", None)
        return options
