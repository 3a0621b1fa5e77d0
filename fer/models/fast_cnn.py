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


class FastCNN(Backbone):
    """Residual network of dense 3x3 convolutions behind a stem that halves the image at once.

    Depthwise and narrow convolutions leave a CPU's vector units idle, and at high resolution batch norm and ReLU
    cost as much as the convolutions: so every step down is one strided convolution, and blocks stand where the
    map is small. Each image is standardised first, which takes its light away. ``tail_width`` weights each cell
    of the last map on its own, since in an aligned face place has a meaning (as the global depthwise convolution
    of MobileFaceNets, Chen et al. 2018, https://arxiv.org/abs/1804.07573).

    Args:
        in_channels: Channels of the image.
        widths: Channels of each stage; each stage after the first halves height and width.
        depths: Residual blocks of each stage, 0 or more, as many numbers as ``widths``.
        tail_width: Channels of a last 3x3 convolution without padding, which shrinks the map by two cells; 0
            leaves it out.

    Attributes:
        num_features: Channels of the feature map.
        stride: Pixels a cell of the feature map.

    Raises:
        FerError: ``depths`` does not fit ``widths``, or an image is too small for the tail.

    Shape: ``(B, in_channels, S, S)`` float in, ``(B, num_features, h, h)`` float out.
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (0, 0, 1, 0),
        tail_width: int = 256,
    ) -> None:
        """Build the layers."""
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise FerError(
                f"model fast_cnn: expected as many depths as widths, got widths {list(widths)} and depths "
                f"{list(depths)}. Give one number of blocks for each stage."
            )
        self.stride = 2 ** len(widths)
        self.num_features = tail_width or widths[-1]
        self.standardise = nn.InstanceNorm2d(in_channels)
        # A kernel of 4 with one pixel of padding halves an even side exactly and centres on it.
        channels, kernels = (in_channels, *widths), (4,) + (3,) * (len(widths) - 1)
        self.stages = nn.Sequential(
            *(self._stage(channels[i], channels[i + 1], kernels[i], depths[i]) for i in range(len(widths)))
        )
        self.tail = conv_norm(widths[-1], tail_width, padding=0) if tail_width else None

    @staticmethod
    def _stage(in_channels: int, out_channels: int, kernel_size: int, depth: int) -> nn.Sequential:
        down = conv_norm(in_channels, out_channels, kernel_size, stride=2)
        blocks = (FastBlock(out_channels) for _ in range(depth))
        return nn.Sequential(down, nn.ReLU(inplace=True), *blocks)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, h)``."""
        x = self.stages(self.standardise(x))
        if self.tail is None:
            return x
        if min(x.shape[-2:]) < _TAIL_CELLS:
            raise FerError(
                f"model fast_cnn: expected images of more than {2 * self.stride} pixels, got a feature map of "
                f"{x.shape[-2]} x {x.shape[-1]} cells. Raise the image size, or set tail_width to 0."
            )
        return F.relu(self.tail(x))
