"""The classifier: images in [0, 1] -> preprocess -> backbone -> attention -> pool -> dropout -> head.

Backbones and attention are in other files of this package; the pools are here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias

from fer.core.errors import FerError
from fer.models.backbone import Backbone

# ITU-R BT.601, which OpenCV and Pillow use to convert to gray.
LUMA = (0.299, 0.587, 0.114)


class Preprocess(nn.Module):
    """Convert images to the channels of the backbone and normalize them.

    Color becomes gray by ITU-R BT.601 luma, gray becomes color by repetition. Mean and standard deviation are
    buffers, so that a checkpoint includes them.

    Args:
        in_channels: Output channels, 1 or 3.
        mean: Mean of images in [0, 1]: one number, or one per channel (averaged for one output channel).
        std: Standard deviation, in the form of ``mean``; positive.

    Shape: ``(B, 1 or 3, H, W)`` float in [0, 1] in, ``(B, in_channels, H, W)`` float out.
    """

    luma: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("mean", self._per_channel(mean))
        self.register_buffer("std", self._per_channel(std))

    def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Replace mean and standard deviation, in the form that the constructor takes."""
        self.mean.copy_(self._per_channel(mean))
        self.std.copy_(self._per_channel(std))

    def _per_channel(self, values: Sequence[float]) -> Tensor:
        row = torch.tensor(list(values), dtype=torch.float32)
        if len(row) not in (1, self.in_channels):
            row = row.mean(dim=0, keepdim=True)
        return row.expand(self.in_channels).clone().view(1, -1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Convert and normalize."""
        return (self._convert(images) - self.mean) / self.std

    def _convert(self, images: Tensor) -> Tensor:
        channels = images.shape[1]
        if channels not in (1, 3):
            raise FerError(f"Expected images of shape (B, 1 or 3, H, W), got {tuple(images.shape)}.")
        if channels == self.in_channels:
            return images
        if self.in_channels == 1:
            return (images * self.luma).sum(dim=1, keepdim=True)
        return images.expand(-1, self.in_channels, -1, -1)


class _ChannelsLastGradient(torch.autograd.Function):
    """Return a feature map unchanged, and its gradient in channels-last memory.

    Pools return their gradient in contiguous memory. The last activation and norm of the backbone then read
    it with large strides, which takes 3 % of a training step of the fast CNN on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=torch.channels_last)


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
        super().__init__()
        self.num_features = num_features
        self.side = side
        self.dense = nn.Linear(num_channels * side * side, num_features)

    def forward(self, features: Tensor) -> Tensor:
        """Flatten and project."""
        if features.shape[-2:] != (self.side, self.side):
            features = F.adaptive_avg_pool2d(features, self.side)
        return self.dense(features.flatten(1)).relu()


class EmotionClassifier(nn.Module):
    """A network from images to logits: preprocessing, backbone, attention, pooling and a linear head.

    Args:
        backbone: ``(B, in_channels, S, S)`` to ``(B, backbone.num_features, h, w)``.
        num_classes: Number of logits.
        attention: Module ``(B, C, h, w)`` to the same shape, or ``None``.
        pool: Module ``(B, C, h, w)`` to ``(B, pool.num_features)``; global average pooling when ``None``.
        dropout: Dropout probability before the head, in [0, 1).
        in_channels: Input channels of the backbone, 1 or 3.
        mean: Mean of the backbone's input images in [0, 1], one number or one per channel.
        std: Standard deviation of the same.

    Shape: ``(B, 1 or 3, S, S)`` float in [0, 1] in, ``(B, num_classes)`` logits out.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        attention: nn.Module | None = None,
        pool: Pool | None = None,
        dropout: float = 0.0,
        in_channels: int = 3,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
    ) -> None:
        super().__init__()
        self.preprocess = Preprocess(in_channels, mean, std)
        self.backbone = backbone
        self.attention = nn.Identity() if attention is None else attention
        self.pool = GlobalAveragePool(backbone.num_features) if pool is None else pool
        self.dropout = nn.Dropout(dropout)
        self.num_classes = num_classes
        self.head = nn.Linear(self.pool.num_features, num_classes)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters, besides norms and biases, that timm excludes from weight decay."""
        names: set[str] = getattr(getattr(self.backbone, "model", None), "no_weight_decay", set)()
        return {f"backbone.model.{name}" for name in names}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], int]:
        """Return a function from the name of a parameter to its layer number, for layer-wise learning rates.

        The backbone's layers come first; attention, pool and head form the last one. timm passes ``coarse``.
        """
        # Imported here: timm takes seconds to import, and scoring does not need it.
        from timm.models import group_parameters

        layers = group_parameters(self.backbone, self.backbone.group_matcher(), reverse=True)
        last = max(layers.values(), default=-1) + 1
        return lambda name: layers.get(name.removeprefix("backbone."), last)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the feature map ``(B, C, h, w)``, after attention, of images as ``forward`` takes them."""
        features = self.backbone.forward_features(self.preprocess(images))
        if self.training and features.is_contiguous(memory_format=torch.channels_last):
            features = _ChannelsLastGradient.apply(features)
        return self.attention(features)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits of a feature map."""
        return self.head(self.dropout(self.pool(features)))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)``."""
        return self.forward_head(self.forward_features(images))

    @torch.no_grad()
    def attention_map(self, images: Tensor, size: int) -> Tensor:
        """Return the spatial attention mask, enlarged to images ``(B, size, size)`` in [0, 1].

        Computed in evaluation mode (no dropout, running statistics), without changing the model; the mean of
        several heads.

        Args:
            images: ``(B, 1 or 3, S, S)`` float in [0, 1].
            size: Side of the returned maps, in pixels.

        Raises:
            FerError: The model has no attention, or channel attention only.
        """
        compute_mask = getattr(self.attention, "mask", None) or getattr(self.pool, "mask", None)
        if compute_mask is None:
            raise FerError(
                "attention: expected a model with a spatial attention map, got one without. Train one with "
                "attention=spatial, cbam or multi_head."
            )
        with _eval_mode(self):
            mask = compute_mask(self.backbone.forward_features(self.preprocess(images)))
        return self.upsample_map(mask, size)

    def upsample_map(self, cells: Tensor, size: int) -> Tensor:
        """Enlarge one value per cell of the feature map to the size of the image.

        Args:
            cells: ``(B, 1, h, w)``.
            size: Side of the result, in pixels.

        Returns:
            ``(B, size, size)``; zero in the border that the backbone crops away.
        """
        border = round(self.backbone.margin * size)
        side = size - 2 * border
        inner = F.interpolate(cells, size=(side, side), mode="bilinear", align_corners=False)
        return F.pad(inner, (border, border, border, border)).squeeze(1)


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch all modules to evaluation mode, and restore the mode of each at the end."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
