"""The device on which torch runs a network outside a training: that of ``--device`` or FER_DEVICE."""

import os

import torch

from fer.core.device import DEVICE_VARIABLE
from fer.core.errors import FerError

TORCH_DEVICES = ("cpu", "cuda", "mps")


def torch_device() -> torch.device:
    """Return the device for networks: the default of this process if torch has it, else ``cuda`` or ``cpu``.

    ``auto`` is ``cuda`` if torch has a GPU, else ``cpu``.
    """
    chosen = os.environ.get(DEVICE_VARIABLE) or "auto"
    if chosen not in available_devices():
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(chosen)


def available_devices() -> list[str]:
    """Return those of `TORCH_DEVICES` that torch has on this machine."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [device for device in TORCH_DEVICES if has[device]]


def check_torch_device() -> None:
    """Check that torch has the default device of this process.

    Raises:
        FerError: It has not.
    """
    chosen, available = os.environ.get(DEVICE_VARIABLE) or "auto", available_devices()
    if chosen not in ("auto", *available):
        raise FerError(
            f"--device or {DEVICE_VARIABLE}: expected a device that torch has here (auto, "
            f"{', '.join(available)}) for a checkpoint, got {chosen!r}. Use --device cpu, or name an "
            "exported model."
        )
