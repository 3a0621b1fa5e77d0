"""Pooling with several attention heads (DAN)."""

import torch
from torch import Tensor, nn

from fer.models.pooling import Pool


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
        """Build the layers."""
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


class MultiHeadAttentionPool(Pool):
    """Pool with several parallel attention heads, and average their outputs.

    After DAN (Wen et al. 2023, https://arxiv.org/abs/2109.07270), without its affinity and partition losses.
    The paper fuses the heads by a log-softmax, followed by a batch norm. The mean trained at least as well
    without either (fast_cnn, 8,000 faces of FER2013, four epochs, one seed: validation loss 1.34, against
    1.40).

    Args:
        num_channels: Number of channels of the feature map.
        num_heads: Number of heads, 2 or more.
        hidden_channels: Number of channels of a head's inner layers.

    Shape: ``(B, C, h, w)`` float in, ``(B, C)`` out.
    """

    def __init__(self, num_channels: int, num_heads: int, hidden_channels: int) -> None:
        """Build the heads."""
        super().__init__()
        self.num_features = num_channels
        self.heads = nn.ModuleList(AttentionHead(num_channels, hidden_channels) for _ in range(num_heads))

    def masks(self, features: Tensor) -> Tensor:
        """Return the mask of each head, ``(B, num_heads, h, w)`` in (0, 1), of features ``(B, C, h, w)``."""
        return torch.cat([head.mask(features) for head in self.heads], dim=1)  # type: ignore[operator]

    def mask(self, features: Tensor) -> Tensor:
        """Return the mean mask of all heads, ``(B, 1, h, w)`` in (0, 1)."""
        return self.masks(features).mean(1, keepdim=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean of the heads."""
        return torch.stack([head(features) for head in self.heads]).mean(0)
