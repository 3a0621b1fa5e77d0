"""Names of the devices on which models run, and the option ``--device``. Loads no runtime."""

import argparse
import os

# Where a model file can run.
DEVICES = ("auto", "cpu", "cuda", "openvino", "coreml")
# Where a model file or a checkpoint can run: torch has neither OpenVINO nor Core ML, but Apple's GPUs.
ALL_DEVICES = (*DEVICES, "mps")
# The device that `auto` is, for containers and for code that has no option for it.
DEVICE_VARIABLE = "FER_DEVICE"


def add_device_option(command: argparse.ArgumentParser, checkpoints: bool = False) -> None:
    """Add ``--device`` to a parser; with ``checkpoints``, of a command that also runs networks in torch."""
    where = "where the model runs; auto is cuda if there is a GPU and onnxruntime-gpu, else cpu"
    if checkpoints:
        where = (
            "where models run: a bundle or an ONNX file on cpu, cuda, openvino or coreml, a checkpoint on "
            "cpu, cuda or mps; auto is cuda if there is a GPU and a package for it, else cpu"
        )
    command.add_argument(
        "--device",
        default="auto",
        choices=ALL_DEVICES if checkpoints else DEVICES,
        help=f"{where} (default: auto, or the variable {DEVICE_VARIABLE})",
    )


def use_device(device: str) -> None:
    """Make a device that was chosen on the command line the default of this process and its children."""
    if device != "auto":
        os.environ[DEVICE_VARIABLE] = device
