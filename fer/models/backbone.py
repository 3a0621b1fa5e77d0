"""Backbones: networks that return a feature map ``(B, C, h, w)``, and the wrapper for timm models."""

from typing import Any

import torch
from torch import Tensor, nn

from fer.core.errors import FerError


class Backbone(nn.Module):
    """A network from images to a feature map: the base of all models.

    A subclass sets ``num_features`` and defines ``forward_features``, or ``forward`` in its place.
    `fer.register_model` gives it a name.

    Attributes:
        num_features: Channels of the feature map.
        margin: Border of the image that is cropped away, on each side, as a fraction of the side.
    """

    num_features: int
    margin: float = 0.0

    def __init_subclass__(cls, **options: Any) -> None:
        """Take ``forward`` as ``forward_features`` where a subclass defines only that."""
        super().__init_subclass__(**options)
        if "forward" in cls.__dict__ and "forward_features" not in cls.__dict__:
            cls.forward_features = cls.__dict__["forward"]  # type: ignore[method-assign]

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the feature map ``(B, num_features, h, w)`` of normalized images ``(B, channels, S, S)``."""
        raise NotImplementedError

    def group_matcher(self) -> Any:
        """Return the layer of each parameter as timm does: regular expressions by group, or a function.

        Only ``optimizer.layer_decay`` needs it.

        Raises:
            FerError: The model defines no layers.
        """
        raise FerError(
            f"optimizer.layer_decay: {type(self).__name__} defines no layers. Set it to null, or give the "
            'model a method group_matcher that returns patterns such as {"blocks": r"^blocks\\.(\\d+)"}.'
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map."""
        return self.forward_features(x)


class TimmBackbone(Backbone):
    """A timm model without its classifier that returns a feature map in a fixed layout.

    Channels-last maps are permuted. Prefix tokens (class, distillation, register) are dropped, and the other
    tokens are reshaped row by row to ``patch_embed.grid_size``. A model with neither a map nor a grid is
    used with its pooling, and returns one cell.

    Args:
        model: From ``timm.create_model(..., num_classes=0)``, best with ``global_pool=""``.
        input_shape: ``(channels, height, width)`` of the images.
        stem: The stem that `fer.models.timm_backbone.apply_stem` chose.

    Attributes:
        num_features: Channels of the feature map.
        grid: Cells of the feature map, ``(h, w)``.
        is_pooled: Whether the model returns pooled vectors instead of a feature map.

    Shape: ``(B, channels, height, width)`` float in, ``(B, num_features, h, w)`` out.
    """

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int], stem: str = "default") -> None:
        """Detect the layout of the model's output with one forward pass."""
        super().__init__()
        self.model, self.stem = model, stem
        self.num_prefix_tokens: int = getattr(model, "num_prefix_tokens", 0)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.token_grid = token_grid(model)
        output = probe(model, input_shape)
        self.is_pooled = output.dim() != 4 and not self._is_token_sequence(output)
        features = self._to_map(output)
        self.num_features = features.shape[1]
        self.grid: tuple[int, int] = (features.shape[2], features.shape[3])

    def _is_token_sequence(self, output: Tensor) -> bool:
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

        This is timm's unpooled output. For most models it equals ``forward_features``. Layers after the
        pooling (norm of a ConvNeXt, last convolution of a MobileNetV3) are included, so that every weight is
        used.
        """
        return self._to_map(self.model(x))

    def group_matcher(self) -> Any:
        """Return a function from the name of a parameter to its layer number, from 0.

        Raises:
            FerError: timm defines no layers for this model.
        """
        # Imported here: timm takes seconds to import, and the built-in backbones do not need it.
        from timm.models import group_parameters

        matcher: Any = getattr(self.model, "group_matcher", None)
        if matcher is None:
            raise FerError(
                f"optimizer.layer_decay: timm defines no layers for {type(self.model).__name__}. "
                "Set it to null."
            )
        layers = group_parameters(self.model, matcher(), reverse=True)
        return lambda name: layers[name.removeprefix("model.")]


def pretrained_config(model: Any) -> dict[str, Any]:
    """Return timm's record of a model's weights: source, first layer, classifier, mean, ..."""
    return dict(model.pretrained_cfg)


def token_grid(model: nn.Module) -> tuple[int, int] | None:
    """Return the rows and columns of a transformer's patch grid, or ``None`` if the model has none."""
    # The attribute's name in a ViT, and in an MLP-Mixer.
    for name in ("patch_embed", "stem"):
        grid = getattr(getattr(model, name, None), "grid_size", None)
        if grid is not None:
            return (int(grid[0]), int(grid[1]))
    return None


def probe(model: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    """Return the model's output for one black image, without changing weights, statistics or random state.

    Raises:
        FerError: The model cannot take images of this shape, or returns several tensors.
    """
    training, dtype = model.training, next(model.parameters(), torch.empty(0)).dtype
    try:
        # Not inference mode: tensors that a model caches here must be usable in training.
        with torch.no_grad():
            output = model.eval()(torch.zeros(1, *input_shape, dtype=dtype))
    except (RuntimeError, AssertionError, ValueError) as error:
        size = "x".join(map(str, input_shape))
        raise FerError(f"{type(model).__name__}: cannot take images of {size}: {error}") from error
    finally:
        model.train(training)
    if not isinstance(output, Tensor):
        raise FerError(f"{type(model).__name__}: expected one feature map or vector, got several outputs.")
    return output
