"""Options of fer-models calibrate. What it does is in `fer.calibrate`, which needs more packages."""

import argparse
from importlib import import_module
from typing import Any

from fer.bundle.files import Bundle
from fer.bundle.registry import Registry
from fer.core.command_line import number, positive_integer
from fer.core.device import add_device_option, use_device
from fer.core.errors import FerError
from fer.core.plugins import split_names
from fer.core.threads import share_cores

_DESCRIPTION = """Fit temperature and threshold of a model to labelled images of your own, and register the
result as a new version. The figures that are printed and stored are cross-fitted: each image is answered with
what was fitted on the other images."""
_EXAMPLES = """examples:
  fer-models calibrate fer2013 --data folder:$HOME/mine --name mine       face crops in a folder per emotion
  fer-models calibrate fer2013 --data folder:$HOME/photos --faces --name mine           photographs
  fer-models calibrate smile:2 --data folder:$HOME/mine --name mine --priors            and class priors
  fer-models calibrate smile:2 --data folder:$HOME/mine --name mine --priors $HOME/shop  those of other images

Class priors: a model expects each emotion as often as in its training. With --priors, how often each occurs
is estimated from its answers, without labels, by expectation maximisation (Saerens et al. 2002), and its
answers are corrected. This helps where only the frequencies differ, and harms where the images do: the
printed figures show which. With --biases, how much is added for each emotion is fitted to the labels
(bias-corrected temperature scaling, Alexandari et al. 2020)."""


def add_calibrate(actions: Any) -> None:
    """Add the options to the actions of fer-models."""
    command = actions.add_parser(
        "calibrate",
        help="fit temperature, threshold and class priors to images of your own",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add(
        "model", metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS or the folder of a bundle; it stays as it is"
    )
    add(
        "--data",
        required=True,
        metavar="KIND:PATH",
        help="labelled images: folder:, fer2013:, ferplus:, rafdb: or affectnet: and their path",
    )
    add(
        "--name",
        help="name of the new version (default: that of the model, unless it comes with the package)",
    )
    add(
        "--split",
        choices=("train", "val", "all"),
        help="part of the data to use (default: val, or all of data without one); never a test split beside "
        "others",
    )
    add(
        "--labels", type=split_names, metavar="A,B,…", help="emotions of numbered folders, from the lowest on"
    )
    add(
        "--group",
        default="auto",
        metavar="RULE",
        help="what keeps images of a person together in a fold: auto (a column, or file names of known "
        "sets), none, a column of a list, or a regular expression for the paths (default: auto)",
    )
    add("--faces", action="store_true", help="the images are photographs: detect and crop the largest face")
    add(
        "--detector",
        choices=("auto", "yunet", "haar", "mtcnn"),
        help="face detector of --faces (default: yunet if its model file is found, else haar)",
    )
    correction = command.add_mutually_exclusive_group()
    correction.add_argument(
        "--biases",
        action="store_true",
        help="also fit a bias of each emotion to the labels, for emotions that are named too often or seldom",
    )
    correction.add_argument(
        "--priors",
        nargs="?",
        const="",
        metavar="DIR",
        help="also correct for how often each emotion occurs: in the images of DIR, without labels, or, "
        "without DIR, in those of --data",
    )
    add(
        "--accuracy",
        type=number("an accuracy between 0 and 1", lambda value: 0 < value < 1),
        metavar="P",
        help="accuracy that certain predictions have to reach (default: 0.8, 0.9 or 0.95, the lowest that "
        "the model does not reach by itself)",
    )
    add_device_option(command)
    add("--threads", type=positive_integer, metavar="N", help="CPU threads (default: all cores)")


def run_calibrate(request: argparse.Namespace, registry: Registry, base: Bundle) -> None:
    """Calibrate a bundle, and print what was fitted.

    Raises:
        FerError: As `fer.calibrate.calibrate.calibrate`; or a package is not installed.
    """
    try:
        command = import_module("fer.calibrate.cli")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "fer":
            raise
        raise FerError(
            f"fer-models calibrate: expected the package {error.name}, which is not installed. Install it "
            "with pip install 'fer-lightning[calibrate]'."
        ) from error
    share_cores(request.threads)
    use_device(request.device)
    command.run(request, registry, base)
