"""A small residual network that is quick on a few CPU cores without AVX-512 or bf16."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.errors import FerError
from fer.models.backbone import Backbone

_TAIL_CELLS = 3  # side of the map that the last convolution takes in: 48 px / 16


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    """A convolution without bias, and the batch norm that stands in for the bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class FastBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection (He et al. 2016, https://arxiv.org/abs/1512.03385).

    The last scale starts at zero, so that a fresh block is the identity (https://arxiv.org/abs/1706.02677).

    Args:
        channels: Number of channels, in and out.

    Shape: ``(B, channels, H, W)`` float in, the same out.
    """

    def __init__(self, channels: int) -> None:
        """Build the layers."""
        super().__init__()
        self.first = conv_norm(channels, channels)
        self.second = conv_norm(channels, channels)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return F.relu(x + self.second(F.relu(self.first(x))))
