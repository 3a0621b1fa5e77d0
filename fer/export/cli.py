"""fer-export: export a trained run to a bundle with ONNX model and model card."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.bundle.card import CROP_RULES, UNMEASURED, to_json
from fer.bundle.files import Bundle
from fer.bundle.registry import Registry
from fer.core.command_line import add_version, positive_integer, quick_imports, run_command
from fer.core.names import artifact_name
from fer.core.paths import expand_user
from fer.core.plugins import PLUGINS_HELP, split_names
from fer.core.threads import share_cores

# Their packages are missing in an environment for prediction.
if TYPE_CHECKING:
    from fer.training.config import WandbConfig

REGISTRY = "models"
_EXAMPLES = """examples:
  fer-export outputs/train/DATE/RUN                               export the best checkpoint to RUN/bundle/
  fer-export RUN --int8 --calibration $HOME/data/fer2013.csv      quantise to int8, if faster and as accurate
  fer-export RUN --name smile --register                          also register it as models/smile/1/
  fer-export RUN --register --wandb                               also log it to W&B as an artifact
  fer-export RUN --web page/                                      also write a web page that runs it
  fer-export RUN OTHER_RUN --name pair                            an ensemble: mean probabilities of both

A bundle is a folder of three files: model.onnx, face images in and emotion probabilities out; card.json, its
description; and README.md, the card as text. It is written only if the exported model matches the trained
one. Weights trained on FER2013 are for research only, as FER2013 is. An expression is not a feeling: do not
use the model to make decisions about people."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        "fer-export",
        description="Write a trained model as a bundle that runs without torch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(command)
    add = command.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folder or .ckpt file; several form an ensemble")
    add("--checkpoint", choices=("best", "last"), help="checkpoint of a run folder (default: best)")
    add(
        "--output",
        metavar="DIR",
        help="folder of the bundle (default: RUN/bundle; for an ensemble: RUN/bundle_NAME)",
    )
    add(
        "--name",
        help="name of the model (default: the run's name without its seed; required for an ensemble)",
    )
    precision = command.add_mutually_exclusive_group()
    precision.add_argument("--int8", action="store_true", help="int8, if 1.5 times as fast and as accurate")
    precision.add_argument("--fp16", action="store_true", help="fp16 weights: half the file size, same speed")
    add(
        "--calibration",
        metavar="DATA",
        help="path of the run's data (fer2013.csv or a folder), if it has moved",
    )
    add(
        "--uncalibrated",
        action="store_true",
        help="export even if the data is missing that calibrates the confidence",
    )
    add(
        "--crop",
        choices=tuple(CROP_RULES),
        help="crop rule of the training images, if unknown for the data set",
    )
    add(
        "--register",
        nargs="?",
        const=REGISTRY,
        metavar="DIR",
        help=f"add the bundle to a registry (default: {REGISTRY}/)",
    )
    add("--web", metavar="DIR", help="also write a web page that runs the model in the browser")
    add(
        "--runtime",
        metavar="DIR",
        help="with --web: folder or archive of the npm package onnxruntime-web, to copy (default: the page "
        "loads it from a CDN)",
    )
    add("--plugins", type=split_names, default=[], metavar="MODULES", help=PLUGINS_HELP)
    add("--threads", type=positive_integer, metavar="N", help="CPU threads (default: all cores)")
    add("--wandb", action="store_true", help="with --register: log the version to W&B as an artifact")
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-export`` and exit."""
    command = parser()
    request = command.parse_args(arguments)
    if request.wandb and request.register is None:
        command.error("--wandb: expected --register, which makes the version to log. Add --register.")
    if request.runtime is not None and request.web is None:
        command.error("--runtime: expected --web, for which it is. Add --web DIR.")
    sys.exit(run_command(lambda: run(request)))


def run(request: argparse.Namespace) -> None:
    """Export, print a summary, and register the bundle on request."""
    share_cores(request.threads)
    web, runtime = (path and expand_user(path) for path in (request.web, request.runtime))
    if web is not None:
        from fer.web.site import check_inputs, describe, write_page

        # Before minutes of work.
        check_inputs(web, runtime)
    # Imports torch, which takes seconds; --help and usage errors do not need it.
    with quick_imports():
        from fer.evaluation.runs import load_run
        from fer.export.export import export

    bundle = export(
        request.runs,
        checkpoint=request.checkpoint,
        output=request.output,
        name=request.name,
        int8=request.int8,
        fp16=request.fp16,
        calibration=request.calibration,
        uncalibrated=request.uncalibrated,
        crop=request.crop,
        plugins=request.plugins,
    )
    _print_summary(bundle)
    if web is not None:
        write_page(bundle, web, runtime)
        print(f"web page     {describe(web)}")
    if request.register is None:
        return
    entry = Registry(expand_user(request.register)).register(bundle)
    print(f"registered   {entry.card.name}:{entry.card.version} in {entry.folder}")
    if request.wandb:
        trained = load_run(request.runs[0], request.checkpoint)
        aliases = ["latest", f"version-{entry.card.version}"]
        options, folder = trained.config.logger.wandb, trained.folder or entry.folder.parent
        log_artifact(entry, folder, options, trained.shown_config, aliases)


def _print_summary(bundle: Bundle) -> None:
    card, parity = bundle.card, bundle.card.export["parity"]
    calibration, quantisation = card.export["calibration"], card.export["quantisation"]
    size = f"{card.model['bytes'] / 1e6:.2f} MB, {card.model['parameters'] / 1e6:.2f} million parameters"
    print(f"model        {card.name}: {card.model['architecture']}, {card.precision}, {size}")
    print(f"emotions     {', '.join(card.labels.names)}")
    print(
        f"parity       {parity['precision']}, {parity['images']} images ({parity['pictures']}): "
        f"probabilities differ by at most {parity['max_difference']:.1e}"
    )
    if calibration is None:
        option = "--calibration DATA" if "members" in card.training else "fer-evaluate RUN --split val"
        print(f"confidence   not calibrated. Calibrate with {option}, then export again")
    else:
        print(f"confidence   calibrated on {calibration['split']}, temperature {card.temperature:.3f}")
    if card.crop.name == UNMEASURED:
        print("crop         unknown for this data set: faces are cropped by the detector's box. Use --crop")
        print("             fer2013 if the training images are cropped as in FER2013, e.g. by crop_faces.py")
    if quantisation is not None:
        print(f"int8         {quantisation['said']}")
    print(f"bundle       {bundle.folder}")


def log_artifact(
    bundle: Bundle,
    folder: Path,
    options: "WandbConfig | None",
    config: Mapping[str, Any],
    aliases: list[str],
) -> None:
    """Log a registered bundle to W&B: online if the user is logged in, else offline, to be synced later.

    Args:
        bundle: The bundle in the registry.
        folder: Folder of the run that trained the model; the artifact is logged to that W&B run.
        options: Options of W&B of that run; None: the defaults.
        config: Config of that run, as plain values.
        aliases: Aliases of the artifact version.
    """
    import wandb

    from fer.training.config import WandbConfig
    from fer.training.loggers import finish_wandb, start_wandb, warn_on_failure
    from fer.training.run_record import read_record

    run = start_wandb(options or WandbConfig(), folder, config, read_record(folder).id)
    failed = True
    try:
        # The version is in the registry already.
        with warn_on_failure("W&B: the version was not logged"):
            metadata = json.loads(to_json(bundle.card))
            artifact = wandb.Artifact(artifact_name(bundle.card.name), type="model", metadata=metadata)
            artifact.add_dir(str(bundle.folder))
            run.log_artifact(artifact, aliases=aliases)
            failed = False
    finally:
        finish_wandb(run, failed)


if __name__ == "__main__":
    main()
