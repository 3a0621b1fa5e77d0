"""Pooling modules from a feature map ``(B, C, h, w)`` to a vector ``(B, num_features)``."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the conventional name


class Pool(nn.Module):
    """Base class of modules from a feature map ``(B, C, h, w)`` to a vector ``(B, num_features)``.

    Attributes:
        num_features: Length of the vector.
    """

    num_features: int


class GlobalAveragePool(Pool):
    """Mean over all cells of a grid of any size.

    Args:
        num_channels: Number of channels of the feature map.

    Shape: ``(B, C, h, w)`` float in, ``(B, C)`` out.
    """

    def __init__(self, num_channels: int) -> None:
        """Store the number of channels."""
        super().__init__()
        self.num_features = num_channels

    def forward(self, features: Tensor) -> Tensor:
        """Average."""
        return features.mean(dim=(2, 3))


class FlattenDense(Pool):
    """Flatten all cells into one dense layer with ReLU: the classic CNN head.

    Each cell has separate weights, because a position in an aligned face has a meaning. A map of another
    size, which smaller training images give, is first resized to this grid by adaptive average pooling.

    Args:
        num_channels: Number of channels of the feature map.
        side: Cells along each side of the feature map.
        num_features: Width of the dense layer.

    Shape: ``(B, C, h, w)`` float in, ``(B, num_features)`` out.
    """

    def __init__(self, num_channels: int, side: int, num_features: int = 256) -> None:
        """Build the dense layer."""
        super().__init__()
        self.num_features = num_features
        self.side = side
        self.dense = nn.Linear(num_channels * side * side, num_features)

    def forward(self, features: Tensor) -> Tensor:
        """Flatten and project."""
        if features.shape[-2:] != (self.side, self.side):
            features = F.adaptive_avg_pool2d(features, self.side)
        return self.dense(features.flatten(1)).relu()
