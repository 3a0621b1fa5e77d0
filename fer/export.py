"""fer-export: from a trained run to a bundle that anyone can run and nobody can misread."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer.bundle.card import UNMEASURED
from fer.cli import run_and_explain
from fer.places import at_home

if TYPE_CHECKING:
    from fer.bundle.files import Bundle

REGISTRY = "models"
CROPS = ("fer2013", "synthetic", UNMEASURED)  # of fer.faces.rules, which would load OpenCV for --help
_EXAMPLES = """examples:
  fer-export outputs/train/DATE/RUN                               the best checkpoint -> RUN/bundle/
  fer-export RUN --int8 --calibration $HOME/data/fer2013.csv      smaller and faster, where it is worth it
  fer-export RUN --name smile --register                          a version of it -> models/smile/1/
  fer-export RUN --register --wandb                               the same, and to W&B with its aliases
  fer-export RUN OTHER_RUN --name pair                            one bundle of two: their mean answer

A bundle is a folder of three files: model.onnx, which takes faces and gives the probability of each
emotion; card.json, which says all that one has to know of it; and README.md, which says the same in words. It
is written only if the exported model answers as the trained one. Weights trained on FER2013 are for research
only, as FER2013 is. An expression is not a feeling: do not decide about people with it."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        "fer-export",
        description="Write a trained model as a bundle that runs without torch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = words.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folder, or .ckpt file; of several, the mean answer")
    add("--checkpoint", choices=("best", "last"), help="of a run folder (default: best)")
    add(
        "--output",
        metavar="DIR",
        help="folder of the bundle (default: RUN/bundle; of several: RUN/bundle_NAME)",
    )
    add(
        "--name",
        help="name of the model (default: that of the run, without its seed; of several: none)",
    )
    smaller = words.add_mutually_exclusive_group()
    smaller.add_argument("--int8", action="store_true", help="whole numbers, if 1.5 times faster and as good")
    smaller.add_argument("--fp16", action="store_true", help="half the file; as fast as before")
    add("--calibration", metavar="DATA", help="where the run's data lies now: fer2013.csv, or a folder")
    add("--crop", choices=CROPS, help="how the training pictures were cut, where the data set does not tell")
    add("--register", nargs="?", const=REGISTRY, metavar="DIR", help=f"add it to a registry ({REGISTRY}/)")
    add("--wandb", action="store_true", help="with --register: send the version to W&B as well")
    return words


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-export`` and exit with its status."""
    words = parser()
    request = words.parse_args(arguments)
    if request.wandb and request.register is None:
        words.error("--wandb sends a registered version: add --register")
    sys.exit(run_and_explain(lambda: run(request)))


def run(request: argparse.Namespace) -> None:
    """Export, say what came out, and register it where that is asked for."""
    from fer.exporting.make import export  # torch loads for seconds: --help and a typo do not wait

    bundle, trained = export(request)
    _tell(bundle)
    if request.register is None:
        return
    entry = _register(bundle, request.register)
    if request.wandb:
        from fer.exporting.wandb_artifact import send

        aliases = ["latest", f"version-{entry.card.version}"]
        send(entry, trained.folder or entry.folder.parent, trained.trained.config, aliases)


def _tell(bundle: "Bundle") -> None:
    card, parity = bundle.card, bundle.card.export["parity"]
    calibration, quantisation = card.export["calibration"], card.export["quantisation"]
    size = f"{card.model['bytes'] / 1e6:.2f} MB, {card.model['parameters'] / 1e6:.2f} million parameters"
    print(f"model        {card.name}: {card.model['architecture']}, {card.precision}, {size}")
    print(f"emotions     {', '.join(card.labels.names)}")
    print(
        f"parity       {parity['precision']}, {parity['images']} pictures ({parity['pictures']}): "
        f"probabilities differ by at most {parity['max_difference']:.1e}"
    )
    if calibration is None:
        how = "--calibration DATA" if "members" in card.training else "fer-evaluate RUN --split val"
        print(f"confidence   not calibrated; {how} calibrates it: export again")
    else:
        print(f"confidence   calibrated on {calibration['split']}, temperature {card.temperature:.3f}")
    if card.crop.name == UNMEASURED:
        print(
            "crop         not known for this data: faces are cut by the detector's box; --crop fer2013 where"
        )
        print("             they lie as in FER2013, which is how crop_faces.py cuts them")
    if quantisation is not None:
        print(f"int8         {quantisation['said']}")
    print(f"bundle       {bundle.folder}")


def _register(bundle: "Bundle", folder: str) -> "Bundle":
    from fer.bundle.registry import Registry

    entry = Registry(at_home(folder)).register(bundle)
    print(f"registered   {entry.card.name}:{entry.card.version} in {entry.folder}")
    return entry


if __name__ == "__main__":
    main()
