"""One part of each kind."""

from collections.abc import Callable

import numpy as np
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual alias
from torch.optim.lr_scheduler import LRScheduler, PolynomialLR
from torchmetrics.classification import MulticlassAccuracy

import fer


@fer.register_model("tiny_net")
class TinyNet(fer.Backbone):
    """A few convolutions."""

    def __init__(self, in_channels: int, width: int = 16) -> None:
        super().__init__()
        self.num_features = width
        self.first = nn.Conv2d(in_channels, width, 4, stride=4)
        self.second = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.second(self.first(x).relu()).relu()


@fer.register_attention("gate")
class Gate(nn.Module):
    """A learned mask of the feature map."""

    def __init__(self, num_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_channels, 1, 1, bias=bias)

    def mask(self, features: Tensor) -> Tensor:
        """Return the mask."""
        return self.conv(features).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Apply the mask."""
        return features * self.mask(features)


@fer.register_loss("poly")
def poly(epsilon: float = 1.0, weight: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """Poly-1 loss."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        expected = logits.softmax(1).gather(1, target[:, None])
        return F.cross_entropy(logits, target, weight) + epsilon * (1 - expected).mean()

    return loss


@fer.register_optimizer("heavy_sgd")
def heavy_sgd(
    params: list, lr: float = 0.05, weight_decay: float = 1e-4, momentum: float = 0.9
) -> torch.optim.SGD:
    """SGD with other defaults."""
    return torch.optim.SGD(params, lr, momentum, weight_decay=weight_decay)


@fer.register_scheduler("poly_decay")
def poly_decay(optimizer: torch.optim.Optimizer, total_steps: int, power: float = 2.0) -> LRScheduler:
    """Decay by a power of the steps that are left."""
    return PolynomialLR(optimizer, total_steps, power)


@fer.register_augmentation("noise")
def noise(sigma: float = 0.05) -> Callable[[Tensor, torch.Generator | None], Tensor]:
    """Add noise."""

    def apply(images: Tensor, generator: torch.Generator | None) -> Tensor:
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        return (images + sigma * noise).clamp(0, 1)

    return apply


@fer.register_reader("stripes")
def stripes(count: int = 98, size: int = 48) -> object:
    """Stripes, as many in each of seven directions."""
    rows, columns = np.mgrid[:size, :size]
    angles = np.arange(7) * np.pi / 7
    waves = [np.sin(rows * np.sin(angle) + columns * np.cos(angle)) for angle in angles]
    shifts = np.random.default_rng(0).integers(0, 40, (count, 1, 1))
    images = np.stack([100 + 80 * waves[row % 7] for row in range(count)]) + shifts
    return fer.from_arrays({"train": (images.astype(np.uint8), np.arange(count) % 7)}, source="stripes")


@fer.register_metric("top2", mode="max")
def top2(num_classes: int) -> MulticlassAccuracy:
    """Accuracy of the two most probable emotions."""
    return MulticlassAccuracy(num_classes, top_k=2, average="micro")


@fer.register_callback("say")
class Say(Callback):
    """Print a text at the end of the training."""

    def __init__(self, text: str = "the end") -> None:
        self.text = text

    def on_fit_end(self, trainer: object, pl_module: object) -> None:
        """Print it."""
        print(f"say      {self.text}")
