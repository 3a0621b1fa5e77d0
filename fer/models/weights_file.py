"""The weights of a checkpoint as ``model.safetensors`` and ``config.json``, the files that other tools read.

Both are plain data: safetensors holds tensors, and the config what rebuilds their network. `load_checkpoint`
reads a folder of them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fer.core.errors import FerError

WEIGHTS, CONFIG = "model.safetensors", "config.json"
# Prefix of the network's weights in the state dict of a checkpoint.
_PREFIX = "model."
# Key of what `load_checkpoint` needs, beside the keys that other tools know.
_CHECKPOINT = "checkpoint"
# What of a checkpoint's hyperparameters rebuilds its network.
NETWORK_KEYS = ("image_channels", "stem")


def write_weights(folder: Path, content: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the network's weights of a checkpoint, and its config.

    Args:
        folder: Where the two files are written.
        content: A checkpoint, as stored.
        facts: JSON values for the config, with the key `_CHECKPOINT`: ``epoch`` and ``hyper_parameters``.
    """
    # Copies: two names of one tensor cannot be stored.
    weights = {
        name.removeprefix(_PREFIX): tensor.detach().clone().contiguous()
        for name, tensor in content["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> dict[str, Any]:
    """Return the two files as the content of a checkpoint.

    Raises:
        FerError: One is missing or damaged.
    """
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))[_CHECKPOINT]
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FerError(
            f"{folder}: expected {CONFIG} and {WEIGHTS} as fer-models push writes them, got "
            f"{type(error).__name__}: {str(error).splitlines()[0][:200]}. Push the model again."
        ) from error
    return {**stored, "state_dict": {f"{_PREFIX}{name}": tensor for name, tensor in weights.items()}}
