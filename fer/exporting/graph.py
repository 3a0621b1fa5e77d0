"""The network that is exported: uint8 RGB images in, calibrated probabilities out."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from fer.data.augment import resize
from fer.exporting.together import Ensemble, Network
from fer.models.classifier import LUMA


class ExportModel(nn.Module):
    """A trained classifier with its preprocessing and calibration.

    Args:
        model: A classifier or ensemble in evaluation mode, on the CPU.
        gray: The model was trained on grayscale images. Colour is then converted as in OpenCV (ITU-R BT.601,
            rounded), so that a gray value repeated three times is unchanged.
        temperature: Divisor of the logits.
        image_size: Side S of the input images in pixels, the size at which the data set is stored.
        network_size: Side to which training resizes images for the network; None: `image_size`. The graph
            resizes too, because a face cropped at 96 px has details that one upscaled from 48 px lacks.

    Shape: uint8 ``(N, S, S, 3)`` RGB in. Out: probabilities ``(N, K)`` and, if the model has spatial
    attention,
        the attention map over the image, ``(N, S, S)`` in [0, 1]. Ensembles give no map.
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
        self.model, self.gray = reorder_pooling(model), gray
        self.temperature, self.image_size = temperature, image_size
        self.network_size = network_size or image_size
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1))

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities and, if there is one, the attention map."""
        pixels = faces.permute(0, 3, 1, 2).to(torch.float32)
        if self.gray:
            pixels = (pixels * self.luma).sum(dim=1, keepdim=True).round()
        logits, *attention = self._logits_and_attention(resize(pixels / 255, self.network_size))
        return torch.softmax(logits / self.temperature, dim=1), *attention

    def _logits_and_attention(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits and, if there is one, the attention map; the backbone runs once for both."""
        model, mask = self.model, attention_mask(self.model)
        if mask is None or isinstance(model, Ensemble):
            return (model(images),)
        features = model.backbone.forward_features(model.preprocess(images))
        logits = model.forward_head(model.attention(features))
        return logits, model.upsample_map(mask(features), self.image_size)


def attention_mask(model: Network) -> Any | None:
    """Return the function from a feature map to its attention mask ``(N, 1, h, w)``, if there is one."""
    if isinstance(model, Ensemble):
        return None
    return getattr(model.attention, "mask", None) or getattr(model.pool, "mask", None)


def reorder_pooling(model: Network) -> Network:
    """Return a copy with batch norm and ReLU before max pooling, wherever that gives the same output.

    The order does not matter if no scale of the norm is negative: the norm is then monotonic in each channel.
    The norm can be fused into the preceding convolution, and int8 needs no conversion to fp32 in between. The
    original order is faster in training, where norms cannot be fused.
    """
    model = copy.deepcopy(model)
    for layers in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for index in range(len(layers) - 3):
            conv, pool, norm, relu = layers[index : index + 4]
            kinds = (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU)
            matches = all(map(isinstance, (conv, pool, norm, relu), kinds))
            if matches and bool((norm.get_parameter("weight") >= 0).all()):
                layers[index + 1], layers[index + 2], layers[index + 3] = norm, relu, pool
    return model
