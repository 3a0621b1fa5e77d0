"""fer-export: export a trained run to a bundle with ONNX model and model card."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.bundle.card import CROP_RULES, UNMEASURED, to_json
from fer.bundle.files import Bundle
from fer.bundle.registry import Registry, check_new_name
from fer.core.command_line import command_parser, positive_integer, quick_imports, run_command
from fer.core.errors import FerError
from fer.core.names import artifact_name
from fer.core.paths import expand_user
from fer.core.plugins import PLUGINS_HELP, import_plugins, split_names
from fer.core.threads import share_cores

# Their packages are missing in an environment for prediction.
if TYPE_CHECKING:
    from fer.training.config import WandbConfig

REGISTRY = "models"
# Values of --output that are no folders; a folder of this name is ./logits.
_RETURNED = ("probabilities", "logits")
_EXAMPLES = """examples:
  fer-export outputs/train/DATE/RUN                               export the best checkpoint to RUN/bundle/
  fer-export RUN --int8 --calibration $HOME/data/fer2013.csv      quantise to int8, if faster and as accurate
  fer-export RUN --name smile --register                          also register it as models/smile/1/
  fer-export RUN --register --wandb                               also log it to W&B as an artifact
  fer-export RUN --web page/                                      also write a web page that runs it
  fer-export RUN OTHER_RUN --name pair                            an ensemble: mean probabilities of both
  fer-export RUN --tta flip                                       mean over each face and its mirror image
  fer-export RUN --input float --output logits --batch 1          an ONNX file for a pipeline of your own
  fer-export RUN --format torch --output DIR                      a file for torch.export.load, without fer

A bundle is a folder of three files: model.onnx, face images in and emotion probabilities out; card.json, its
description; and README.md, the card as text. With --format, --input, --output logits or --batch, one file for
other programs is written instead: RUN/export/model.*, with model.yaml, which says how to call it. Both are
written only if the exported model matches the trained one. Weights trained on FER2013 are for research only,
as FER2013 is. An expression is not a feeling: do not use the model to make decisions about people."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = command_parser(
        "fer-export", "Write a trained model as a bundle that runs without torch.", _EXAMPLES
    )
    add = command.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folder or .ckpt file; several form an ensemble")
    add("--checkpoint", choices=("best", "last"), help="checkpoint of a run folder (default: best)")
    add(
        "--output",
        action="append",
        default=[],
        metavar="DIR|logits",
        help="folder to write (default: RUN/bundle; for an ensemble: RUN/bundle_NAME; for other programs: "
        "RUN/export), or what the model returns: logits or probabilities (default); may be given for both",
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
    add(
        "--tta", choices=("flip",), help="average each face and its mirror image in the graph: twice the time"
    )
    add("--opset", type=int, metavar="N", help="opset of the ONNX file (default: the lowest possible)")
    formats = "for other programs: an ONNX file, a program of torch.export (.pt2), or OpenVINO's IR"
    add("--format", choices=("onnx", "torch", "openvino"), default="onnx", help=formats)
    inputs = "uint8 RGB faces (N, S, S, 3) or, for other programs, float images (N, C, S, S) in [0, 1]"
    add("--input", choices=("uint8", "float"), default="uint8", help=inputs)
    add("--batch", type=positive_integer, metavar="N", help="for other programs: a fixed batch size")
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
    folder, returned = _split_output(request.output)
    share_cores(request.threads)
    if _is_plain(request, returned):
        return _run_plain(request, folder, returned)
    web, runtime = (path and expand_user(path) for path in (request.web, request.runtime))
    if web is not None:
        from fer.web.site import check_inputs, describe, write_page

        # Before minutes of work.
        check_inputs(web, runtime)
    # Imports torch, which takes seconds; --help and usage errors do not need it.
    with quick_imports():
        from fer.evaluation.runs import load_run
        from fer.export.export import export

    if request.register is not None:
        _check_registered_name(request)
    bundle = export(
        request.runs,
        checkpoint=request.checkpoint,
        output=folder,
        name=request.name,
        int8=request.int8,
        fp16=request.fp16,
        calibration=request.calibration,
        uncalibrated=request.uncalibrated,
        crop=request.crop,
        plugins=request.plugins,
        tta=request.tta,
        opset=request.opset,
    )
    _print_summary(bundle)
    if web is not None:
        write_page(bundle, web, runtime)
        print(f"web page     {describe(web)}")
    if request.register is None:
        return None
    entry = Registry(expand_user(request.register)).register(bundle)
    print(f"registered   {entry.card.name}:{entry.card.version} in {entry.folder}")
    if request.wandb:
        trained = load_run(request.runs[0], request.checkpoint)
        aliases = ["latest", f"version-{entry.card.version}"]
        options, run_folder = trained.config.logger.wandb, trained.folder or entry.folder.parent
        log_artifact(entry, run_folder, options, trained.shown_config, aliases)
    return None


def _check_registered_name(request: argparse.Namespace) -> None:
    """Check before minutes of work that the registry accepts the name.

    Raises:
        FerError: It does not.
    """
    from fer.evaluation.runs import load_run
    from fer.export.model_card import choose_name

    import_plugins(request.plugins, "--plugins")
    runs = [load_run(source, request.checkpoint) for source in request.runs]
    check_new_name(choose_name(runs, request.name))


def _split_output(values: Sequence[str]) -> tuple[str | None, str]:
    """Return the folder and what the model returns, both of which ``--output`` gives.

    Raises:
        FerError: One is given twice.
    """
    kinds = [value for value in values if value in _RETURNED]
    folders = [value for value in values if value not in _RETURNED]
    for found, what in ((kinds, "one of logits and probabilities"), (folders, "one folder")):
        if len(found) > 1:
            raise FerError(f"--output: expected {what}, got {' and '.join(found)}. Name one.")
    return next(iter(folders), None), next(iter(kinds), _RETURNED[0])


def _is_plain(request: argparse.Namespace, returned: str) -> bool:
    """Return whether one file for other programs is wanted instead of a bundle."""
    choice = (request.format, request.input, returned, request.batch)
    return choice != ("onnx", "uint8", _RETURNED[0], None)


def _run_plain(request: argparse.Namespace, folder: str | None, returned: str) -> None:
    """Export one file for other programs.

    Raises:
        FerError: An option is given that needs a bundle.
    """
    needs_bundle = ("int8", "fp16", "register", "web")
    if given := [name for name in needs_bundle if getattr(request, name) not in (None, False)]:
        raise FerError(
            f"--{given[0]}: expected a bundle, but --format, --input, --output or --batch asks for a file "
            "for other programs. Omit one of them."
        )
    from fer.export.plain import SPEC, PlainFormat, export_plain

    path, report = export_plain(
        request.runs,
        PlainFormat(request.format, request.input, returned, request.batch, request.opset),
        checkpoint=request.checkpoint,
        output=folder,
        name=request.name,
        calibration=request.calibration,
        uncalibrated=request.uncalibrated,
        crop=request.crop,
        plugins=request.plugins,
        tta=request.tta,
    )
    print(
        f"parity       {report['images']} images ({report['pictures']}): probabilities differ by at most "
        f"{report['max_difference']:.1e}"
    )
    # OpenVINO's weights are in a file of their own.
    files = [file for file in path.parent.glob("model.*") if file.name != SPEC]
    print(f"file         {path}, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB")
    print(f"how to call  {path.with_name(SPEC)}")


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
        if card.abstain_below is None:
            print(
                "             no threshold found (few images, or many errors): every answer is uncertain. Use"
            )
            print("             fer-predict --threshold P, or fer-models calibrate on more images")
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
