"""The convolutional baseline of the facial emotion tutorials: four convolutions, dropout, no batch norm."""

from collections.abc import Sequence

from torch import Tensor, nn

from fer.models.backbone import Backbone


class BaselineCNN(Backbone):
    """Blocks of 3x3 convolution, ReLU, 2x2 max pooling and dropout.

    With ``FlattenDense`` (256) and dropout 0.5 before the classifier this is the usual FER2013 baseline: 27
    million multiply-adds at 48 px. It has no batch norm on purpose: it stands for where the field started.

    Args:
        in_channels: 1 (gray) or 3 (RGB).
        widths: Channels of each block.
        conv_dropout: Dropout probability after each block, in [0, 1).

    Attributes:
        num_features: Channels of the feature map.
        stride: Pixels a cell of the feature map.

    Shape: ``(B, in_channels, S, S)`` float in, ``(B, num_features, S // stride, S // stride)`` out.
    """

    def __init__(
        self, in_channels: int = 1, widths: Sequence[int] = (32, 64, 128, 128), conv_dropout: float = 0.25
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
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # no batch norm mends a wrong scale
        return nn.Sequential(conv, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(dropout))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.blocks(x)
