"""Attention: modules from a feature map ``(B, C, h, w)`` to the same shape, or a `Pool` of heads.

A module with a spatial attention map has a ``mask`` method, ``(B, C, h, w)`` to ``(B, 1, h, w)`` in (0, 1).
`fer.register_attention` adds another one.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.registry import ATTENTIONS
from fer.models.classifier import Pool
from fer.models.config import AttentionConfig

# timm and torchvision take seconds to import, and most models have no attention.
if TYPE_CHECKING:
    from torchvision.ops import SqueezeExcitation


class SpatialAttention(nn.Module):
    """Reweight each cell of a feature map by a learned mask in (0, 1).

    The spatial branch of CBAM (Woo et al. 2018, https://arxiv.org/abs/1807.06521): one convolution over the
    mean and the maximum of all channels, then a sigmoid. As in the paper's equation there is no batch norm,
    so that an image's mask does not depend on the other images of the batch.

    Args:
        kernel_size: Side of the square convolution, in cells; odd.

    Shape: ``(B, C, h, w)`` float in, the same out.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def mask(self, features: Tensor) -> Tensor:
        """Return the mask ``(B, 1, h, w)`` in (0, 1) of features ``(B, C, h, w)``."""
        summary = torch.cat([features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)], dim=1)
        return self.conv(summary).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Apply the mask."""
        return features * self.mask(features)


class CBAM(nn.Module):
    """Reweight the channels of a feature map, then its cells (Woo et al. 2018, https://arxiv.org/abs/1807.06521).

    Args:
        num_channels: Number of channels of the feature map.
        reduction: Factor by which the channel branch reduces the number of channels.
        kernel_size: Side of the spatial branch's convolution, in cells; odd.

    Shape: ``(B, C, h, w)`` float in, the same out.
    """

    def __init__(self, num_channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        from timm.layers.cbam import ChannelAttn

        super().__init__()
        self.channels = ChannelAttn(num_channels, rd_channels=_reduced_channels(num_channels, reduction))
        # The name is part of the keys in stored checkpoints.
        self.places = SpatialAttention(kernel_size)

    def mask(self, features: Tensor) -> Tensor:
        """Return the spatial mask ``(B, 1, h, w)`` in (0, 1) of features ``(B, C, h, w)``."""
        return self.places.mask(self.channels(features))

    def forward(self, features: Tensor) -> Tensor:
        """Apply the channel branch, then the spatial branch."""
        return self.places(self.channels(features))


class MultiHeadAttentionPool(Pool):
    """Pool with several parallel attention heads, and average their outputs.

    After DAN (Wen et al. 2023, https://arxiv.org/abs/2109.07270), without its affinity and partition losses.
    The paper fuses the heads by a log-softmax, followed by a batch norm. The mean trained
    at least as well without either (fast_cnn, 8,000 faces of FER2013, four epochs, one seed: validation loss
    1.34, against 1.40).

    Args:
        num_channels: Number of channels of the feature map.
        num_heads: Number of heads, 2 or more.
        hidden_channels: Number of channels of a head's inner layers.

    Shape: ``(B, C, h, w)`` float in, ``(B, C)`` out.
    """

    def __init__(self, num_channels: int, num_heads: int, hidden_channels: int) -> None:
        super().__init__()
        self.num_features = num_channels
        self.heads = nn.ModuleList(AttentionHead(num_channels, hidden_channels) for _ in range(num_heads))

    def mask(self, features: Tensor) -> Tensor:
        """Return the mean mask of all heads, ``(B, 1, h, w)`` in (0, 1), of features ``(B, C, h, w)``."""
        masks = [head.mask(features) for head in self.heads]  # type: ignore[operator]
        return torch.cat(masks, dim=1).mean(1, keepdim=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean of the heads."""
        return torch.stack([head(features) for head in self.heads]).mean(0)


class AttentionHead(nn.Module):
    """Pool a feature map with a spatial mask, then reweight the channels.

    A cross-attention head of DAN (Wen et al. 2023, https://arxiv.org/abs/2109.07270). Convolutions of
    3x3, 1x3 and 3x1 over a map of fewer channels give the mask. The mean of the masked map goes through a
    squeeze-excitation gate. In the paper the convolutions are as wide as the features and their sum is the
    mask; here a sigmoid keeps the mask in (0, 1), so that it can be displayed.

    Args:
        num_channels: Number of channels of the feature map.
        hidden_channels: Number of channels of the inner layers.

    Shape: ``(B, C, h, w)`` float in, ``(B, C)`` out.
    """

    def __init__(self, num_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(num_channels, hidden_channels, 1, bias=False),
            nn.BatchNorm2d(hidden_channels),
            nn.ReLU(),
        )
        self.windows = nn.ModuleList(
            nn.Conv2d(hidden_channels, hidden_channels, (rows, columns), padding=(rows // 2, columns // 2))
            for rows, columns in ((3, 3), (1, 3), (3, 1))
        )
        # The name is part of the keys in stored checkpoints.
        self.place = nn.Conv2d(hidden_channels, 1, 1)
        self.gate = nn.Sequential(
            nn.Linear(num_channels, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, num_channels),
            nn.Sigmoid(),
        )

    def mask(self, features: Tensor) -> Tensor:
        """Return the mask ``(B, 1, h, w)`` in (0, 1) of features ``(B, C, h, w)``."""
        hidden = self.squeeze(features)
        combined = torch.stack([window(hidden) for window in self.windows]).sum(0)
        return self.place(combined.relu()).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Mask, average, and reweight the channels."""
        vector = (features * self.mask(features)).mean((2, 3))
        return vector * self.gate(vector)


def no_attention(num_channels: int) -> None:
    """Return no module: the feature map goes directly to the pooling."""


def spatial(num_channels: int, kernel_size: int) -> SpatialAttention:
    """Return the spatial attention, which does not depend on the number of channels."""
    return SpatialAttention(kernel_size)


def squeeze_excitation(num_channels: int, reduction: int) -> "SqueezeExcitation":
    """Return the channel attention of Hu et al. 2018, https://arxiv.org/abs/1709.01507; it has no mask."""
    from torchvision.ops import SqueezeExcitation

    return SqueezeExcitation(num_channels, _reduced_channels(num_channels, reduction))


def multi_head(num_channels: int, num_heads: int, reduction: int) -> MultiHeadAttentionPool:
    """Return the pooling with several heads; ``reduction`` is channels / channels of their inner layers."""
    return MultiHeadAttentionPool(num_channels, num_heads, _reduced_channels(num_channels, reduction))


def _reduced_channels(num_channels: int, reduction: int) -> int:
    """Return the number of hidden channels, at least 1."""
    return max(1, num_channels // reduction)


def build_attention(attention: Part, num_channels: int) -> nn.Module | None:
    """Build an attention; None for ``none``.

    Args:
        attention: The `AttentionConfig`, its plain values, or its name.
        num_channels: Number of channels of the feature map.

    Returns:
        A `Pool` for ``multi_head``, else a module ``(B, C, h, w)`` to the same shape.

    Raises:
        FerError: An option is invalid, or a registered attention returns no module.
    """
    config = AttentionConfig.of(attention)
    entry = ATTENTIONS.get(config.name)
    module = entry.build(num_channels=num_channels, **config.options())
    if module is not None and not isinstance(module, nn.Module):
        raise FerError(
            f"attention={config.name}: expected {entry.origin} to return an nn.Module, got a "
            f"{type(module).__name__}."
        )
    return module
