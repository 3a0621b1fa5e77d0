"""A timm model, made to return a feature map ``(B, C, h, w)``."""

from typing import Any

import torch
from torch import Tensor, nn

from fer.errors import FerError


class Backbone(nn.Module):
    """A network from pictures to a feature map.

    Attributes:
        num_features: Channels of the feature map.
        margin: Rim of the picture that is not looked at, on each side, as a share of the side.
    """

    num_features: int
    margin: float = 0.0

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, w)`` of ``(B, channels, S, S)``."""
        raise NotImplementedError

    def group_matcher(self, coarse: bool = False) -> Any:
        """Say which layer each parameter is in, as a timm model does: patterns by name, or a function.

        Args:
            coarse: Whether whole stages count as a layer, instead of blocks.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.forward_features(x)


class TimmBackbone(Backbone):
    """A timm model without its classifier that returns a feature map, whatever its own layout is.

    Channels-last maps are permuted. Tokens go back on their grid: prefix tokens (class, distillation,
    register) are dropped, the others are laid out row by row on ``patch_embed.grid_size``. A model with
    neither map nor grid keeps its own pooling, and returns one cell.

    Args:
        model: From ``timm.create_model(..., num_classes=0)``, best with ``global_pool=""``.
        input_shape: ``(channels, height, width)`` of the pictures.
        stem: What `fer.models.stem.apply_stem` made of the model.

    Attributes:
        num_features: Channels of the feature map.
        grid: Cells of the feature map, ``(h, w)``.
        is_pooled: Whether the model gave no feature map.

    Shape: ``(B, channels, height, width)`` float in, ``(B, num_features, h, w)`` out.
    """

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int], stem: str = "default") -> None:
        """Find the layout of the model's output by one forward pass."""
        super().__init__()
        self.model, self.stem = model, stem
        self.num_prefix_tokens: int = getattr(model, "num_prefix_tokens", 0)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.token_grid = token_grid(model)
        output = probe(model, input_shape)
        self.is_pooled = output.dim() != 4 and not self._on_grid(output)
        features = self._to_map(output)
        self.num_features = features.shape[1]
        self.grid: tuple[int, int] = (features.shape[2], features.shape[3])

    def _on_grid(self, output: Tensor) -> bool:
        rows, columns = self.token_grid or (0, 0)
        return output.dim() == 3 and output.shape[1] == self.num_prefix_tokens + rows * columns

    def _to_map(self, output: Tensor) -> Tensor:
        if output.dim() == 4:
            return output.permute(0, 3, 1, 2) if self.channels_last else output
        if self.is_pooled:
            vectors = output.mean(dim=1) if output.dim() == 3 else output
            return vectors[:, :, None, None]
        tokens = output[:, self.num_prefix_tokens :]
        return tokens.transpose(1, 2).unflatten(2, self.token_grid)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, w)``.

        It is what timm calls the unpooled output. For most models that is their ``forward_features``; where
        layers follow the pooling (norm of a ConvNeXt, last convolution of a MobileNetV3) they are part of it,
        so that no weight lies idle.
        """
        return self._to_map(self.model(x))

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return a function from the name of a parameter to its layer, counted from 0.

        Raises:
            FerError: timm names no layers of this model.
        """
        from timm.models import group_parameters  # timm loads for seconds, and our own nets do without it

        matcher: Any = getattr(self.model, "group_matcher", None)
        if matcher is None:
            raise FerError(
                f"optimizer.layer_decay: timm names no layers of {type(self.model).__name__}. Set it to null."
            )
        layers = group_parameters(self.model, matcher(coarse), reverse=True)
        return lambda name: layers[name.removeprefix("model.")]


def pretrained_config(model: Any) -> dict[str, Any]:
    """Return what timm knows about a model's weights: their source, first layer, classifier, mean, ..."""
    return dict(model.pretrained_cfg)


def token_grid(model: nn.Module) -> tuple[int, int] | None:
    """Return the rows and columns of a transformer's patches, ``None`` where the model does not know them."""
    for name in ("patch_embed", "stem"):  # a ViT's name for it, and an MLP-Mixer's
        grid = getattr(getattr(model, name, None), "grid_size", None)
        if grid is not None:
            return (int(grid[0]), int(grid[1]))
    return None


def probe(model: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    """Return the model's output for one black picture; leaves weights, statistics and random state alone.

    Raises:
        FerError: The model cannot take pictures of this shape, or returns several tensors.
    """
    training = model.training
    try:
        with torch.no_grad():  # not inference mode: what a model caches here must be usable in training
            output = model.eval()(torch.zeros(1, *input_shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        size = "x".join(map(str, input_shape))
        raise FerError(f"{type(model).__name__} cannot take pictures of {size}: {error}") from error
    finally:
        model.train(training)
    if not isinstance(output, Tensor):
        raise FerError(f"{type(model).__name__} returns several outputs; expected one feature map or vector.")
    return output
