"""A small residual network that is quick on a few CPU cores without AVX-512 or bf16."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.errors import FerError
from fer.models.backbone import Backbone


def conv_norm(channels: int) -> nn.Sequential:
    """A 3x3 convolution without bias, and the batch norm that stands in for the bias."""
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


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
        self.first = conv_norm(channels)
        self.second = conv_norm(channels)
        nn.init.zeros_(self.second[1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class FastCNN(Backbone):
    """Residual network of dense 3x3 convolutions behind a stem that halves the image at once.

    Made for CPUs: dense convolutions only, and max pooling before a plain 3x3 convolution instead of a
    strided one, which trained 9 to 25 % more images a second on one AVX2 core. The rim of a face crop is hair
    and background: looking past it saves a third of the work. What is left of an image is standardised, which
    takes its mean and contrast away.

    Args:
        in_channels: Channels of the image.
        widths: Channels of each stage; each stage halves height and width.
        depths: Residual blocks of each stage, 0 or more, as many numbers as ``widths``.
        stem_pool: Halve the map once more behind the stem, which saves two thirds of the work.
        margin: Rim that is not looked at, on each side, as a share of the side in [0, 0.5).

    Attributes:
        num_features: Channels of the feature map.
        stride: Pixels a cell of the feature map.

    Raises:
        FerError: ``depths`` does not fit ``widths``, or ``margin`` leaves nothing.

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
        """Build the layers."""
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise FerError(
                f"model fast_cnn: expected as many depths as widths, got widths {list(widths)} and depths "
                f"{list(depths)}. Give one number of blocks for each stage."
            )
        if not 0.0 <= margin < 0.5:
            raise FerError(f"model fast_cnn: expected margin in [0, 0.5), got {margin}; 0.083 is a twelfth.")
        self.margin = margin
        self.num_features = widths[-1]
        self.standardise = nn.InstanceNorm2d(in_channels)
        # A kernel of 4 with one pixel of padding halves an even side exactly and centres on it.
        stem = nn.Conv2d(in_channels, widths[0], 4, stride=2, padding=1, bias=False)
        convs = [stem, *(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths))]
        halve, keep = nn.MaxPool2d(2, ceil_mode=True), nn.Identity()
        pools = [*[halve if stem_pool else keep, *([halve] * len(widths))][: len(widths) - 1], keep]
        self.stride = 2 * 2 ** pools.count(halve)
        self.stages = nn.Sequential(*map(_stage, convs, pools, depths))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, h)``."""
        rim = round(self.margin * x.shape[-1])
        inner = x[..., rim : x.shape[-2] - rim, rim : x.shape[-1] - rim]
        return self.stages(self.standardise(inner))

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return the pattern of a stage: each is a layer."""
        return {"stages": r"^stages\.(\d+)"}


def _stage(conv: nn.Conv2d, pool: nn.Module, depth: int) -> nn.Sequential:
    """Widen the map, then halve it, rounding up; norm and ReLU come last, where they have less to do."""
    channels = conv.out_channels
    blocks = (FastBlock(channels) for _ in range(depth))
    return nn.Sequential(conv, pool, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *blocks)
