"""The two networks of this package: FastCNN, fast on a few CPU cores, and BaselineCNN, the usual baseline.

Neither needs timm. FastCNN is designed for CPUs without AVX-512 or bf16.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.core.errors import FerError
from fer.models.backbone import Backbone


class FastCNN(Backbone):
    """Residual network of dense 3x3 convolutions after a stem that halves the image.

    Designed for CPUs: dense convolutions only, and max pooling before a plain 3x3 convolution instead of a
    strided one, which trained 9 to 25 % more images per second on one AVX2 core. The border of a face crop is
    hair and background; cropping it away saves a third of the computation. Each image is then standardized,
    which removes differences in brightness and contrast.

    Args:
        in_channels: Channels of the image.
        widths: Channels of each stage; each stage halves height and width.
        depths: Residual blocks of each stage, 0 or more, one number per stage.
        stem_pool: Halve the map once more after the stem, which saves two thirds of the computation.
        margin: Border to crop away on each side, as a fraction of the side, in [0, 0.5).

    Attributes:
        num_features: Channels of the feature map.
        stride: Pixels per cell of the feature map.

    Raises:
        FerError: ``depths`` and ``widths`` differ in length, or ``margin`` is out of range.

    Shape: ``(B, in_channels, S, S)`` float in with S even, ``(B, num_features, h, h)`` float out with
        ``h = ceil((S - 2 * round(margin * S)) / stride)``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (0, 0, 0, 0),
        margin: float = 0.0,
        stem_pool: bool = True,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise FerError(
                f"model fast_cnn: expected as many depths as widths, got widths {list(widths)} and depths "
                f"{list(depths)}. Give one number of blocks per stage."
            )
        if not 0.0 <= margin < 0.5:
            raise FerError(f"model fast_cnn: expected margin in [0, 0.5), got {margin}; 0.083 is a twelfth.")
        self.margin = margin
        self.num_features = widths[-1]
        self.standardise = nn.InstanceNorm2d(in_channels)
        # A kernel of 4 with one pixel of padding halves an even side exactly and symmetrically.
        stem = nn.Conv2d(in_channels, widths[0], 4, stride=2, padding=1, bias=False)
        convs = [stem, *(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths))]
        pool, identity = nn.MaxPool2d(2, ceil_mode=True), nn.Identity()
        pools = [*[pool if stem_pool else identity, *([pool] * len(widths))][: len(widths) - 1], identity]
        self.stride = 2 * 2 ** pools.count(pool)
        self.stages = nn.Sequential(*map(_stage, convs, pools, depths))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, h)``."""
        # Under torch.jit.trace a size is a tensor.
        height, width = int(x.shape[-2]), int(x.shape[-1])
        border = round(self.margin * width)
        inner = x[..., border : height - border, border : width - border]
        return self.stages(self.standardise(inner))

    def group_matcher(self) -> Any:
        """Return the pattern that makes each stage a layer."""
        return {"stages": r"^stages\.(\d+)"}


def _stage(conv: nn.Conv2d, pool: nn.Module, depth: int) -> nn.Sequential:
    """Return a stage: convolution, pooling, then norm and ReLU, which are cheaper on the pooled map."""
    channels = conv.out_channels
    blocks = (FastBlock(channels) for _ in range(depth))
    return nn.Sequential(conv, pool, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *blocks)


class FastBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection (He et al. 2016, https://arxiv.org/abs/1512.03385).

    The last batch norm's scale starts at zero, so that a new block is the identity (Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677).

    Args:
        channels: Number of channels, in and out.

    Shape: ``(B, channels, H, W)`` float in, the same out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv_norm(channels, channels)
        self.second = _conv_norm(channels, channels)
        nn.init.zeros_(self.second[1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return F.relu(x + self.second(F.relu(self.first(x))))


def _conv_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution and a batch norm, which makes a bias unnecessary."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class BaselineCNN(Backbone):
    """Blocks of 3x3 convolution, batch norm, ReLU, 2x2 max pooling and dropout.

    With ``FlattenDense`` (256) and dropout 0.5 before the classifier this is the usual FER2013 baseline: 9
    million multiply-adds at 48 px. Without batch norm its accuracy stays at chance for many epochs.

    Args:
        in_channels: 1 (gray) or 3 (RGB).
        widths: Channels of each block.
        conv_dropout: Dropout probability after each block, in [0, 1).

    Attributes:
        num_features: Channels of the feature map.
        stride: Pixels per cell of the feature map.

    Shape: ``(B, in_channels, S, S)`` float in, ``(B, num_features, S // stride, S // stride)`` out.
    """

    def __init__(
        self, in_channels: int = 1, widths: Sequence[int] = (16, 32, 64, 128), conv_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(self._block(a, b, conv_dropout) for a, b in pairwise([in_channels, *widths]))
        )
        self.num_features = widths[-1]
        self.stride = 2 ** len(widths)

    @staticmethod
    def _block(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
        layers = nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(dropout)
        return nn.Sequential(*_conv_norm(in_channels, out_channels), *layers)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.blocks(x)

    def group_matcher(self) -> Any:
        """Return the pattern that makes each block a layer."""
        return {"blocks": r"^blocks\.(\d+)"}
