"""Facts about a run that its options leave open: precision, device, size and cost of the network, data."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fer.data.datamodule import EmotionDataModule
from fer.models.factory import count_parameters
from fer.training.module import EmotionModule
from fer.training.run_record import environment


def run_facts(module: EmotionModule, trainer: pl.Trainer, datamodule: EmotionDataModule) -> dict[str, Any]:
    """Return plain values for a logger's config.

    ``precision`` as resolved; ``device`` and its name; ``processes`` and ``threads`` of each;
    ``batch_size``, the images of an optimizer step; ``parameters``, frozen ones included; ``flops`` of a
    forward pass for one image, two for each multiplication with addition; ``train_images`` and
    ``val_images``; ``torch`` and ``commit``, the versions of torch and of this package.
    """
    model = module.config.model
    counts = {f"{role}_images": len(datamodule.rows.get(role, ())) for role in ("train", "val")}
    return {
        **_device(trainer),
        "batch_size": datamodule.batch_size * trainer.world_size * trainer.accumulate_grad_batches,
        "parameters": count_parameters(module.model),
        "flops": count_flops(module.model, module.hparams["image_channels"], model.image_size),
        **counts,
        "torch": torch.__version__,
        "commit": environment()["commit"],
    }


def _device(trainer: pl.Trainer) -> dict[str, Any]:
    device = trainer.strategy.root_device
    return {
        "precision": str(trainer.precision),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": trainer.world_size,
        "threads": torch.get_num_threads(),
    }


def count_flops(model: nn.Module, channels: int, size: int) -> int:
    """Return the floating-point operations of a forward pass for one image, convolutions and products only.

    Args:
        model: The network; its weights, statistics and mode are not changed.
        channels: Channels of the image.
        size: Side of the image in pixels.
    """
    weight = next(model.parameters())
    image = torch.zeros(1, channels, size, size, device=weight.device, dtype=weight.dtype)
    modes = [(part, part.training) for part in model.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            model.eval()(image)
    finally:
        for part, is_training in modes:
            part.training = is_training
    return counter.get_total_flops()
