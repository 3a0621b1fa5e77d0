"""Weights of a trained backbone for another of the same architecture, at other channels or another size."""

from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor, nn

from fer.models.backbone import Backbone, TimmBackbone
from fer.models.weights import filter_of

_TIMM = "model."  # of a timm model's weights among those of its TimmBackbone


def adapt(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Fit the weights of a backbone to another that takes other channels or another picture size.

    First convolutions go from colour to gray by their sum and from gray to colour by thirds, so that gray
    pictures give what they gave (exactly so where all channels are normalised alike). Position embeddings
    are resampled to the new grid, as timm does. What does not fit otherwise stays as it is.

    Args:
        state: State dict of the trained backbone.
        backbone: The one to fit it to; it is left alone.
    """
    own = backbone.state_dict()
    fitted = {name: _to_channels(value, own.get(name)) for name, value in state.items()}
    if isinstance(backbone, TimmBackbone) and differing(fitted, own):
        return _to_grid(fitted, backbone.model)
    return fitted


def differing(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return the keys that only one of two state dicts has, or that have another shape in each."""
    return [name for name in {**own, **state}
            if name not in own or name not in state or own[name].shape != state[name].shape]  # fmt: skip


def _to_channels(weight: Tensor, like: Tensor | None) -> Tensor:
    if like is None or weight.dim() != 4 or like.dim() != 4:
        return weight
    channels = (weight.shape[1], like.shape[1])
    if channels == (3, 1):
        return weight.sum(dim=1, keepdim=True)
    return weight.expand(-1, 3, -1, -1) / 3 if channels == (1, 3) else weight


def _to_grid(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    resample = filter_of(model)
    if resample is None:
        return state
    bare = {name.removeprefix(_TIMM): value for name, value in state.items()}
    with suppress(KeyError, RuntimeError, AttributeError):  # another architecture, which `differing` names
        bare = resample(bare, model)
    return {_TIMM + name: value for name, value in bare.items()}
