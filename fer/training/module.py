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

from fer.core.errors import FerError, did_you_mean
from fer.core.labels import LabelSpace, from_dict
from fer.models import build_model
from fer.training.loss_factory import build_loss
from fer.training.metrics import build_metrics, scalar_metrics
from fer.training.optim import SAM, build_optimizer, build_scheduler

Batch = Mapping[str, Tensor]
MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


class EmotionModule(pl.LightningModule):
    """Train and validate an emotion classifier.

    All arguments are plain values, so that a checkpoint can store them and loads with ``weights_only=True``.

    Args:
        config: The resolved run config. ``model``, ``attention``, ``loss``, ``imbalance``, ``mix``,
            ``optimizer``, ``scheduler``, ``monitor``, ``seed`` and ``channels_last`` are used.
        labels: Label space as ``{"name": str, "names": list[str]}``.
        train_counts: Training samples of each emotion, ``(K,)``, for class weights.
        image_channels: Channels of the images from the DataModule, 1 or 3.
        manifest: Manifest of the data, split by split; it is stored in the checkpoint.
        label_given_vote: P(label | vote), ``(K, K)``, for ``loss=expected_labels``.
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
        if hasattr(self.model.backbone, "stem"):
            # The stem that ``auto`` resolved to; a later version may choose another.
            self.hparams["stem"] = self.model.backbone.stem
        self.loss = build_loss(config["loss"], config["imbalance"], train_counts, label_given_vote)
        self.mix = build_mix(config["mix"], len(self.labels), config["seed"])
        self.metrics = build_metrics(len(self.labels))
        self.memory_format = torch.channels_last if config["channels_last"] else torch.contiguous_format
        self.model.to(memory_format=self.memory_format)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K)`` for float images ``(B, C, S, S)`` in [0, 1]."""
        return self.model(image.to(self.dtype).contiguous(memory_format=self.memory_format))

    def _shared_step(self, image: Tensor, target: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch, and add them to the epoch sums."""
        logits = self(image)
        loss = (self.loss if stage == "train" else F.cross_entropy)(logits, target)
        if not self._is_sam_second_pass():
            self._accumulate(logits.detach(), target, loss.detach(), stage)
        return loss, logits

    def _is_sam_second_pass(self) -> bool:
        """Return whether this is the second pass of SAM over a batch, which is not counted again."""
        return any(
            isinstance(optimizer, SAM) and optimizer.second_pass for optimizer in self.trainer.optimizers
        )

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
        """Return the loss of a batch after mixing; None, which skips the step, if no image could be read."""
        if not len(batch["image"]):
            return None
        target = self.loss.build_target(batch["target"], batch.get("votes"))
        image, target = self.mix(batch["image"], target, self.current_epoch, batch_idx)
        return self._shared_step(image, target, "train")[0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics; the validation loss is plain cross-entropy for any training loss."""
        if not len(batch["image"]):
            return
        _, logits = self._shared_step(batch["image"], batch["target"], "val")
        self.metrics.update(logits.float(), batch["target"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the split; store its confusion matrix ``(K, K)`` in ``self.confusion``."""
        loss_and_accuracy = self.epoch_metrics("val")
        values = self.metrics.compute()
        self.confusion = values["confusion"].cpu().numpy()
        self.log_dict(loss_and_accuracy | scalar_metrics(values, self.labels.names, "val"))
        self.metrics.reset()

    def configure_optimizers(self) -> Any:
        """Build optimizer and learning-rate schedule from the config and the number of training steps."""
        optimizer = build_optimizer(self.model, self._optimizer_options())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        schedule = build_scheduler(
            optimizer, self.config["scheduler"], total, per_epoch, self.config["monitor"]
        )
        if "monitor" in schedule:
            # The monitored metric exists only after epochs with a validation.
            schedule["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _optimizer_options(self) -> dict[str, Any]:
        """Return the optimizer options, without ``fused`` where Lightning could not clip gradients."""
        options = dict(self.config["optimizer"])
        if self.trainer.gradient_clip_val and isinstance(self.trainer.precision_plugin, MixedPrecision):
            options.pop("fused", None)
        return options


class Mix:
    """Mix each image of a batch with its neighbour, with one mixing ratio per batch.

    Mixup averages the images (Zhang et al. 2018, https://arxiv.org/abs/1710.09412). CutMix pastes a rectangle
    of one into the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899). The labels are averaged with
    the same ratio. Batches are shuffled, so the neighbour is a random image.

    The random numbers depend only on seed, epoch and batch. A resumed run and the second pass of SAM get the
    same mixture, and other random numbers are not affected.

    Args:
        name: ``none`` or one of `MIXES`.
        num_classes: Number of emotions.
        seed: Seed of the random numbers.
        alpha: Both parameters of the Beta distribution of the mixing ratio, above 0.
        probability: Probability that a batch is mixed, 0 to 1.

    Raises:
        FerError: The name is unknown, or a number is out of range.
    """

    def __init__(
        self, name: str, num_classes: int, seed: int, alpha: float = 1.0, probability: float = 1.0
    ) -> None:
        """Check and store the options."""
        if name != "none" and name not in MIXES:
            known = ("none", *MIXES)
            hint = did_you_mean(str(name), known)
            raise FerError(f"mix.name: expected one of {', '.join(known)}, got {name!r}.{hint}")
        if not alpha > 0.0:
            raise FerError(f"mix.alpha: expected a number above 0, got {alpha}.")
        if not 0.0 <= probability <= 1.0:
            raise FerError(f"mix.probability: expected a number in [0, 1], got {probability}.")
        self.transform = None if name == "none" else MIXES[name](alpha=alpha, num_classes=num_classes)
        self.probability, self.seed = probability, seed

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
        if self.transform is None or rng.random() >= self.probability:
            return image, target
        # Torchvision uses the global CPU generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.getrandbits(63))
            mixed: tuple[Tensor, Tensor] = self.transform(image, target)
        return mixed


def build_mix(config: Mapping[str, Any], num_classes: int, seed: int) -> Mix:
    """Build a `Mix` from ``{"name": ..., "alpha": ..., "probability": ...}``; ``none`` needs only a name."""
    return Mix(num_classes=num_classes, seed=seed, **config)
