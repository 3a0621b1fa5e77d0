"""Load pretrained weights for timm backbones from the Hugging Face hub or a file, or adapt those of a run."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from huggingface_hub import constants, get_session
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import Tensor, nn

from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.models.backbone import Backbone, TimmBackbone, pretrained_config

_PROBE_SECONDS = 5.0
_NOT_WEIGHTS = (
    "{}: expected a weights file {} (.safetensors, a saved state dict, or a checkpoint with one under "
    "state_dict, model_state_dict or model), got {}. Save model.state_dict()."
)
# Names under which training checkpoints of other projects store the weights.
_CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "ema")
# Prefixes of wrappers: DistributedDataParallel, torch.compile, and modules that contain the model.
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.", "network.", "encoder.")
_MAX_PREFIXES = 3
# Values beside the weights in such checkpoints; building them runs no code of the file.
_SAFE_TYPES: list[Any] = [
    argparse.Namespace, np.dtype, np.ndarray, np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0],
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")),
]  # fmt: skip
_ADVICE = "Use model.pretrained=FILE or model.init_from=RUN with local weights, or model.pretrained=false."
# Prefix of the timm model's weights in the state dict of a TimmBackbone.
_TIMM_PREFIX = "model."


def download_weights(model: nn.Module, name: str, arguments: Mapping[str, Any]) -> None:
    """Download timm's weights for ``name`` and load them into a model, in place.

    Args:
        model: From ``timm.create_model(name, num_classes=0, **arguments)``.
        name: A timm name, with or without a tag.
        arguments: Other arguments that the model was built with.

    Raises:
        FerError: The weights are not in the cache and cannot be downloaded.
    """
    try:
        with fail_fast_offline():
            pretrained = timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except LocalEntryNotFoundError as error:
        missing = f"{constants.ENDPOINT} cannot be reached, and the weights of {name} are not in the cache"
        raise FerError(f"model.pretrained: {missing}. {_ADVICE}") from error
    except Exception as error:
        # timm, the hub, its HTTP client and the file system each raise different exceptions.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FerError(f"model.pretrained: no weights for {name} ({reason}). {_ADVICE}") from error
    model.load_state_dict(pretrained.state_dict())


@contextmanager
def fail_fast_offline() -> Iterator[None]:
    """Make the hub client use its cache immediately when there is no network.

    The client retries each file five times with growing pauses, for most of a minute. So the server is
    contacted once, and if it does not answer, the client is set to offline mode.
    """
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not hub_is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def hub_is_reachable() -> bool:
    """Return whether the model hub answers within a few seconds, through the user's proxy if there is one."""
    try:
        get_session().head(constants.ENDPOINT, timeout=_PROBE_SECONDS)
    except Exception as error:
        # The hub's HTTP client and its exceptions differ between releases.
        logging.getLogger(__name__).info("%s does not answer: %s", constants.ENDPOINT, error)
        return False
    return True


def load_weights_file(model: nn.Module, path: str, in_channels: int, key: str = "model.pretrained") -> bool:
    """Load a state dict in timm's format into a timm model without a classifier, in place.

    The first convolution is adapted to ``in_channels`` and position embeddings to the model's grid.
    Classifier weights are ignored.

    Args:
        model: From ``timm.create_model(..., num_classes=0)``.
        path: ``.safetensors``, or a pickled state dict (read with ``weights_only=True``).
        in_channels: Input channels of the model.
        key: Config key of the file, for messages.

    Returns:
        Whether the file has the classifier of timm's weights: that number of classes under its name.

    Raises:
        FerError: No such file, not a state dict, or another architecture.
    """
    state = fit_names(read_state_dict(path, key), model.state_dict())
    # timm removes the classifier from the state dict.
    is_timms = _has_classifier(state, pretrained_config(model))
    incompatible: list[Any] = []
    handle = model.register_load_state_dict_post_hook(lambda _, keys: incompatible.append(keys))
    try:
        timm.models.load_pretrained(
            model,
            pretrained_config(model) | {"state_dict": state, "source": ""},
            num_classes=0,
            in_chans=in_channels,
            filter_fn=checkpoint_filter(model),
            strict=False,
        )
    except (RuntimeError, KeyError, AttributeError) as error:
        raise FerError(f"{key}: {_mismatch_message(model, path, state)}") from error
    finally:
        handle.remove()
    if incompatible[0].missing_keys:
        raise FerError(f"{key}: {_mismatch_message(model, path, state, incompatible[0].missing_keys)}")
    return is_timms


def _has_classifier(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> bool:
    names = config.get("classifier") or ()
    weights = [state.get(f"{name}.weight") for name in ([names] if isinstance(names, str) else names)]
    return bool(weights) and all(w is not None and len(w) == config["num_classes"] for w in weights)


def checkpoint_filter(model: nn.Module) -> Callable[..., dict[str, Tensor]] | None:
    """Return timm's function that adapts a state dict to a model, ``(state dict, model) -> state dict``."""
    return getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)


def load_named_weights(model: nn.Module, path: str, parts: Sequence[str], key: str) -> list[str]:
    """Load a state dict with the names of this project's models into parts of a model, in place.

    Args:
        model: An `EmotionClassifier`.
        path: As for `load_weights_file`.
        parts: Names of the parts to load; the first is required, the others are loaded if they fit.
        key: Config key of the file, for messages.

    Returns:
        The parts that were not loaded.

    Raises:
        FerError: No such file, not a state dict, or the first part does not fit.
    """
    state = fit_names(read_state_dict(path, key), model.state_dict())
    missing = []
    for name in parts:
        part = model.get_submodule(name)
        weights = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        if not mismatched_keys(weights, part.state_dict()):
            part.load_state_dict(weights)
        elif name == parts[0]:
            expected = part.state_dict()
            fitting = len(expected) - len(mismatched_keys(weights, expected))
            raise FerError(f"{key}={path}: {max(0, fitting)} of {len(expected)} keys of the {name} fit")
        else:
            missing.append(name)
    return missing


def fit_names(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the prefixes of wrappers, such as ``module.`` of DistributedDataParallel.

    A prefix that most names have is removed, with all other names, if that matches more of ``target``.
    """
    best = current = dict(state)
    for _ in range(_MAX_PREFIXES):
        counts = {prefix: sum(name.startswith(prefix) for name in current) for prefix in _PREFIXES}
        prefix = max(counts, key=lambda one: counts[one])
        if 2 * counts[prefix] <= len(current):
            break
        current = {n.removeprefix(prefix): value for n, value in current.items() if n.startswith(prefix)}
        if len(current.keys() & target.keys()) > len(best.keys() & target.keys()):
            best = current
    return best


def is_foreign_checkpoint(path: Path) -> bool:
    """Return whether a file is a readable checkpoint of another project."""
    try:
        with torch.serialization.safe_globals(_SAFE_TYPES):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        # Reading it as a checkpoint of this project says what is wrong with it.
        return False
    hparams = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    return not (isinstance(hparams, Mapping) and {"config", "manifest"} <= hparams.keys())


def read_state_dict(path: str, key: str) -> dict[str, Tensor]:
    """Return the state dict of a ``.safetensors`` or pickled file, or of a training checkpoint.

    A checkpoint has it under a name such as ``state_dict`` or ``model_state_dict``, beside other values.

    Raises:
        FerError: No such file, or no state dict in it.
    """
    file = expand_user(path)
    if not file.is_file():
        path = str(file.absolute())
        raise FerError(f"{key}: expected a weights file, but there is no file {path}. Correct the path.")
    try:
        with torch.serialization.safe_globals(_SAFE_TYPES):
            state = timm.models.load_state_dict(str(file), weights_only=True)
    except Exception as error:
        # safetensors, pickle, zip and torch each raise different exceptions.
        raise FerError(_NOT_WEIGHTS.format(key, file, "a file that is not read as such")) from error
    nested = [state, *(state.get(name) for name in _CONTAINERS if isinstance(state, Mapping))]
    found = next(filter(_is_state_dict, nested), None)
    if found is None:
        kinds = ", ".join(map(str, list(state)[:5])) if isinstance(state, Mapping) else type(state).__name__
        raise FerError(_NOT_WEIGHTS.format(key, file, kinds or "an empty file"))
    return dict(found)


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _mismatch_message(
    model: nn.Module, path: str, state: dict[str, Tensor], missing: list[str] | None = None
) -> str:
    target = model.state_dict()
    matching = sum(key in state and state[key].shape == value.shape for key, value in target.items())
    detail = f" Missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}." if missing else ""
    name = pretrained_config(model).get("architecture", type(model).__name__)
    return (
        f"{path} does not fit {name}: {matching} of {len(target)} keys have the expected "
        f"shape.{detail} Give weights of the same architecture."
    )


def adapt_state_dict(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Return a backbone's weights adapted to the input channels and image size of another.

    First convolutions are summed over the channels from color to gray, and repeated with a third of the value
    from gray to color, so that gray images keep their outputs (exactly so if all channels are normalized
    alike). Position embeddings are resampled to the new grid by timm. Other mismatches are not changed.

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


def _adapt_channels(weight: Tensor, target: Tensor | None) -> Tensor:
    if target is None or weight.dim() != 4 or target.dim() != 4:
        return weight
    channels = (weight.shape[1], target.shape[1])
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
