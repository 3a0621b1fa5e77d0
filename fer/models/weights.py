"""Pretrained weights for timm backbones: from the hub without hanging when offline, or from a file."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import timm
from huggingface_hub import constants, get_session
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import Tensor, nn

from fer.errors import FerError
from fer.models.backbone import pretrained_config
from fer.places import at_home

PROBE_SECONDS = 5.0
NO_WEIGHTS = "{}: {} is no weights file; expected .safetensors, or a saved dict of tensors only."
ADVICE = "Use model.pretrained=FILE or model.init_from=RUN with weights at hand, or model.pretrained=false."


def download(model: nn.Module, name: str, arguments: Mapping[str, Any]) -> None:
    """Load the weights that timm offers for ``name`` into a model built without them, in place.

    Args:
        model: From ``timm.create_model(name, num_classes=0, **arguments)``.
        name: A timm name, with or without a tag.
        arguments: What else the model was built with.

    Raises:
        FerError: The weights can neither be downloaded nor found in the cache.
    """
    try:
        with quick_when_offline():
            donor = timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except LocalEntryNotFoundError as error:
        missing = f"{constants.ENDPOINT} cannot be reached, and the weights of {name} are not in its cache"
        raise FerError(f"model.pretrained: {missing}. {ADVICE}") from error
    except Exception as error:  # timm, the hub, its HTTP client and the file system each raise their own
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FerError(f"model.pretrained: no weights for {name} ({reason}). {ADVICE}") from error
    model.load_state_dict(donor.state_dict())


@contextmanager
def quick_when_offline() -> Iterator[None]:
    """Keep the hub client from trying for most of a minute when there is no network.

    It retries each file five times with growing pauses. So its server is asked once; when it does not answer,
    the client is told that it is offline, and looks at once into its cache.
    """
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not hub_answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def hub_answers() -> bool:
    """Whether the model hub answers at all within a few seconds, through the user's proxy if there is one."""
    try:
        get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except Exception as error:  # its HTTP client has changed between releases, and its exceptions with it
        logging.getLogger(__name__).info("%s does not answer: %s", constants.ENDPOINT, error)
        return False
    return True


def load_file(model: nn.Module, path: str, in_channels: int, key: str = "model.pretrained") -> None:
    """Load a state dict of timm's format into a timm model without a classifier, in place.

    The first convolution is adapted to ``in_channels``, position embeddings to the model's grid; the weights
    of a classifier are left out.

    Args:
        model: From ``timm.create_model(..., num_classes=0)``.
        path: ``.safetensors``, or a pickled state dict (read with ``weights_only=True``).
        in_channels: Channels that the model takes.
        key: The option that named the file, for messages.

    Raises:
        FerError: No such file, not a state dict, or not one of this architecture.
    """
    state = read_state_dict(path, key)
    result: list[Any] = []
    handle = model.register_load_state_dict_post_hook(lambda _, keys: result.append(keys))
    try:
        timm.models.load_pretrained(
            model,
            pretrained_config(model) | {"state_dict": state, "source": ""},
            num_classes=0,
            in_chans=in_channels,
            filter_fn=filter_of(model),
            strict=False,
        )
    except (RuntimeError, KeyError, AttributeError) as error:
        raise FerError(f"{key}: {_misfit(model, path, state)}") from error
    finally:
        handle.remove()
    if result[0].missing_keys:
        raise FerError(f"{key}: {_misfit(model, path, state, result[0].missing_keys)}")


def filter_of(model: nn.Module) -> Callable[..., dict[str, Tensor]] | None:
    """Return timm's function that fits a state dict to a model: ``(state dict, model)`` to state dict."""
    return getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)


def read_state_dict(path: str, key: str = "model.pretrained") -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` or ``torch.save`` file, also under ``state_dict``.

    Args:
        path: The file.
        key: The option that named it, for messages.

    Raises:
        FerError: The file is missing or not a state dict.
    """
    file = at_home(path)
    if not file.is_file():
        raise FerError(f"{key}: there is no file {file.absolute()}. Give a weights file that is there.")
    try:
        state = timm.models.load_state_dict(str(file), weights_only=True)
    except Exception as error:  # safetensors, pickle, zip and torch each raise their own
        raise FerError(NO_WEIGHTS.format(key, file)) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise FerError(NO_WEIGHTS.format(key, file))
    return state


def _misfit(model: nn.Module, path: str, state: dict[str, Tensor], missing: list[str] | None = None) -> str:
    own = model.state_dict()
    fit = sum(key in state and state[key].shape == value.shape for key, value in own.items())
    detail = f" Missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}." if missing else ""
    name = pretrained_config(model).get("architecture", type(model).__name__)
    return (
        f"{path} does not fit {name}: {fit} of {len(own)} keys are there in the right "
        f"shape.{detail} Give weights of the same architecture."
    )
