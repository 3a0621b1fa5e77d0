"""Names of the devices on which a model file can run, and the option ``--device``. Loads no ONNX Runtime."""

import argparse

DEVICES = ("auto", "cpu", "cuda", "openvino", "coreml")
# The device that `auto` is, for containers and for code that has no option for it.
DEVICE_VARIABLE = "FER_DEVICE"


def add_device_option(command: argparse.ArgumentParser) -> None:
    """Add ``--device`` to a parser."""
    command.add_argument(
        "--device",
        default="auto",
        choices=DEVICES,
        help="where the model runs; auto is cuda if ONNX Runtime has it, else cpu (default: auto, or the "
        f"variable {DEVICE_VARIABLE})",
    )
