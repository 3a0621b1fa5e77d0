"""The network as it leaves: uint8 RGB pictures in, calibrated probabilities out."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from fer.data.augment import resize
from fer.exporting.together import Network, Together
from fer.models.classifier import LUMA


class Deployed(nn.Module):
    """A trained classifier with everything before and behind it that a user could get wrong.

    Args:
        model: In evaluation mode, on the CPU; or several as one.
        gray: Its training pictures were gray: colour is turned gray as OpenCV does (ITU-R BT.601, whole
            numbers), so that gray repeated three times stays the same gray.
        temperature: That the logits are divided by.
        image_size: Side of the pictures, in pixels, as they were held in training.
        network_size: Side that training resized them to for the network; None: the same. The graph does so
            too: a face cut out at 96 px has details that one enlarged from 48 px never had.

    Shape: uint8 ``(N, S, S, 3)`` RGB in; probabilities ``(N, K)`` out and, where the model has a map of its
        attention, that over the picture, ``(N, S, S)`` in 0 to 1. Several as one have none.
    """

    luma: Tensor

    def __init__(
        self,
        model: Network,
        gray: bool,
        temperature: float,
        image_size: int,
        network_size: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.gray = streamlined(model), gray
        self.temperature, self.image_size = temperature, image_size
        self.network_size = network_size or image_size
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1))

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities, and the map of the attention where there is one."""
        pixels = faces.permute(0, 3, 1, 2).to(torch.float32)
        if self.gray:
            pixels = (pixels * self.luma).sum(dim=1, keepdim=True).round()
        logits, *look = self._look(resize(pixels / 255, self.network_size))
        return torch.softmax(logits / self.temperature, dim=1), *look

    def _look(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits, and the map where there is one; the backbone runs once for both."""
        model, mask = self.model, mask_of(self.model)
        if mask is None or isinstance(model, Together):
            return (model(images),)
        features = model.backbone.forward_features(model.preprocess(images))
        logits = model.forward_head(model.attention(features))
        return logits, model.over_picture(mask(features), self.image_size)


def mask_of(model: Network) -> Any | None:
    """Return the function from a feature map to the attention mask ``(N, 1, h, w)``; None without one."""
    if isinstance(model, Together):
        return None
    return getattr(model.attention, "mask", None) or getattr(model.pool, "mask", None)


def streamlined(model: Network) -> Network:
    """Return a copy in which norm and ReLU come before max pooling, where both orders give the same.

    They do where no scale of the norm is negative, since each channel then rises with its input. The norm
    melts into the convolution before it, and int8 needs no way back to fp32 between the two. In training,
    when norms cannot melt, the other order is the faster one.
    """
    model = copy.deepcopy(model)
    for layers in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for at in range(len(layers) - 3):
            conv, pool, norm, relu = layers[at : at + 4]
            kinds = (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU)
            is_such = all(map(isinstance, (conv, pool, norm, relu), kinds))
            if is_such and bool((norm.get_parameter("weight") >= 0).all()):
                layers[at + 1], layers[at + 2], layers[at + 3] = norm, relu, pool
    return model
