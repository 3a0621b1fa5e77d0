"""Adapt the weights of a backbone to other input channels or another image size."""

from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor, nn

from fer.models.backbone import Backbone, TimmBackbone
from fer.models.weights import checkpoint_filter

# Prefix of the timm model's weights in the state dict of a TimmBackbone.
_TIMM_PREFIX = "model."


def adapt_state_dict(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Return a backbone's weights adapted to the input channels and image size of another.

    First convolutions are summed over the channels from color to gray, and repeated with a third of the value
    from gray to color, so that gray images keep their outputs (exactly so if all channels are normalized
    alike). Position embeddings are resampled to the new grid by timm. Other mismatches are left as they are.

    Args:
        state: State dict of the trained backbone.
        backbone: Backbone of the same architecture to adapt to; it is not modified.
    """
    target = backbone.state_dict()
    adapted = {name: _adapt_channels(value, target.get(name)) for name, value in state.items()}
    if isinstance(backbone, TimmBackbone) and mismatched_keys(adapted, target):
        return _resample_grid(adapted, backbone.model)
    return adapted


def mismatched_keys(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[str]:
    """Return the keys that are in only one of two state dicts, or differ in shape."""
    return [
        name
        for name in {**target, **state}
        if name not in target or name not in state or target[name].shape != state[name].shape
    ]


def _adapt_channels(weight: Tensor, like: Tensor | None) -> Tensor:
    if like is None or weight.dim() != 4 or like.dim() != 4:
        return weight
    channels = (weight.shape[1], like.shape[1])
    if channels == (3, 1):
        return weight.sum(dim=1, keepdim=True)
    return weight.expand(-1, 3, -1, -1) / 3 if channels == (1, 3) else weight


def _resample_grid(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    resample = checkpoint_filter(model)
    if resample is None:
        return state
    timm_state = {name.removeprefix(_TIMM_PREFIX): value for name, value in state.items()}
    # Weights of another architecture fail here; the caller reports them through `mismatched_keys`.
    with suppress(KeyError, RuntimeError, AttributeError):
        timm_state = resample(timm_state, model)
    return {_TIMM_PREFIX + name: value for name, value in timm_state.items()}
