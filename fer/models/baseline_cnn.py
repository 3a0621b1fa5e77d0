"""The CNN baseline of many FER2013 tutorials: four convolutions with pooling, and dropout."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fer.models.backbone import Backbone


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
        """Build the blocks."""
        super().__init__()
        channels = [in_channels, *widths]
        blocks = [self._block(channels[i], channels[i + 1], conv_dropout) for i in range(len(widths))]
        self.blocks = nn.Sequential(*blocks)
        self.num_features = channels[-1]
        self.stride = 2 ** len(widths)

    @staticmethod
    def _block(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        norm = nn.BatchNorm2d(out_channels)
        return nn.Sequential(conv, norm, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(dropout))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.blocks(x)

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return the pattern that makes each block a layer."""
        return {"blocks": r"^blocks\.(\d+)"}
