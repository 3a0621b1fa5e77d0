"""Names of the devices on which a model file can run, and the option ``--device``. Loads no ONNX Runtime."""

import argparse
import os

DEVICES = ("auto", "cpu", "cuda", "openvino", "coreml")
# The device that `auto` is, for containers and for code that has no option for it.
DEVICE_VARIABLE = "FER_DEVICE"


def add_device_option(command: argparse.ArgumentParser, what: str = "where the model runs") -> None:
    """Add ``--device`` to a parser; ``what`` is the beginning of its help."""
    command.add_argument(
        "--device",
        default="auto",
        choices=DEVICES,
        help=f"{what}; auto is cuda if there is a GPU and onnxruntime-gpu, else cpu (default: auto, or the "
        f"variable {DEVICE_VARIABLE})",
    )


def use_device(device: str) -> None:
    """Make a device that was chosen on the command line the default of this process and its children."""
    if device != "auto":
        os.environ[DEVICE_VARIABLE] = device
