"""The command lines fer-evaluate, which scores trained models, and fer-compare, which compares them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.core.command_line import command_parser, positive_integer, quick_imports, run_command
from fer.core.device import add_device_option, use_device
from fer.core.errors import FerError
from fer.core.plugins import PLUGINS_HELP, split_names
from fer.core.threads import share_cores

_EVALUATE_EXAMPLES = """examples:
  fer-evaluate outputs/train/DATE/RUN --split val             the data that the run was trained on
  fer-evaluate RUN --split test --tta flip                    recorded in outputs/test_ledger.jsonl
  fer-evaluate RUN --data folder:$HOME/data/CK+ --split all   another data set, in the model's emotions
  fer-evaluate BUNDLE --data folder:$HOME/mine --split all    an exported model, or one of the package by name
  fer-evaluate --onnx model.onnx --spec spec.yaml --data …    anybody's model; its spec: docs/evaluation.md
  fer-evaluate RUN --data folder:PHOTOS --faces               photographs; the faces are detected first
  fer-evaluate RUN --data folder:DIR --labels sad,happy,…     numbered folders, from the lowest number on
  fer-evaluate RUN_SEED_0 RUN_SEED_1 RUN_SEED_2               several seeds of one recipe
  fer-evaluate RUN_A RUN_B --ensemble                         the mean of their probabilities
  fer-evaluate RUN --corruptions --corruption-images 1000     also 35 kinds of worse images

The report is written to RUN/report/SPLIT: index.html, report.md, metrics.json and predictions.npz.
A facial expression is not an emotion: do not make decisions about people with it."""


_COMPARE_EXAMPLES = """examples:
  fer-compare outputs/train/DATE/RUN_A outputs/train/DATE/RUN_B    two runs, on the validation images of both
  fer-compare A_SEED_0 A_SEED_1 B_SEED_0 B_SEED_1                  two recipes, each with two seeds
  fer-compare outputs/multirun/GRID/*/                             the trials of a grid; seeds are grouped
  fer-compare RUN_A RUN_B --metric macro_f1                        by the mean F1 score of the emotions
  fer-compare BUNDLE RUN                                           an exported model, on the data of the run
  fer-compare BUNDLE --onnx a.onnx --spec a.yaml --data …          anybody's model, on data that are named
  fer-compare RUN_A RUN_B --split test                             recorded in outputs/test_ledger.jsonl"""


def evaluate_main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-evaluate`` and exit with its status."""
    # Runs may stand between the options
    options = evaluate_parser().parse_intermixed_args(arguments)
    threads, device = (vars(options).pop(name) for name in ("threads", "device"))

    def run() -> None:
        share_cores(threads)
        use_device(device)
        # Imported here, because torch takes seconds to load and --help does not need it
        with quick_imports():
            from fer.evaluation.evaluate import evaluate
            from fer.evaluation.output import print_scores

        print_scores(evaluate(**vars(options)))

    sys.exit(run_command(run))


def evaluate_parser() -> argparse.ArgumentParser:
    """Return the parser of ``fer-evaluate``."""
    parser = command_parser("fer-evaluate", "Score a trained model and write a report.", _EVALUATE_EXAMPLES)
    add = parser.add_argument
    runs = "run folder, .ckpt file of a run, or with --data a bundle or the name of a model"
    add("runs", nargs="*", metavar="RUN", help=runs)
    _add_foreign(parser)
    splits = ("train", "val", "test", "all")
    add("--split", choices=splits, help="split to score (default: val, or what other data has)")
    _add_data(parser)
    add("--tta", choices=("flip", "ten-crop"), help="test-time augmentation")
    add("--ensemble", action="store_true", help="score the mean of the runs' probabilities")
    add("--checkpoint", choices=("best", "last"), help="checkpoint of a run folder (default: best)")
    add("--output", metavar="DIR", help="folder for the report")
    _add_running(parser)
    add("--logger", choices=("wandb",), help="also log metrics, tables and plots there")
    corruptions = "also score darkened, blurred, compressed, noisy, … images, at five strengths each"
    add("--corruptions", action="store_true", help=corruptions)
    number = "largest number of images for --corruptions (default: all)"
    add("--corruption-images", type=positive_integer, metavar="N", help=number)
    add("--corruption-seed", type=int, metavar="SEED", help="seed for --corruptions (default: 0)")
    return parser


def _add_foreign(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--onnx", action="append", default=[], metavar="FILE", help="also a foreign ONNX file; repeatable")
    spec = "YAML file with its labels, input, output and crop rule (default: FILE with .yaml)"
    add("--spec", action="append", default=[], metavar="FILE", help=spec)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--path", help="new path of the data of the runs, if it has moved")
    kinds = "another data set: folder, fer2013, ferplus, rafdb or affectnet"
    add("--data", metavar="KIND:PATH", help=kinds)
    numbers = "emotions of numbered folders of --data, or of the numbers in its CSV file: angry,disgust,…"
    add("--labels", type=_names, metavar="NAMES", help=numbers)
    faces = "the images are photographs: detect the faces; a missed face counts as wrong"
    add("--faces", action="store_true", help=faces)
    detectors = ("auto", "yunet", "haar", "mtcnn")
    add("--detector", choices=detectors, help="face detector of --faces (default: auto)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--threads", type=positive_integer, metavar="N", help="CPU threads (default: all cores)")
    add_device_option(parser, checkpoints=True)
    add("--plugins", type=split_names, default=[], metavar="MODULES", help=PLUGINS_HELP)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.strip("[]").split(",")]


def compare_main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-compare`` and exit with its status."""
    options = _compare_parser().parse_intermixed_args(arguments)
    threads, device = (vars(options).pop(name) for name in ("threads", "device"))

    def run() -> None:
        share_cores(threads)
        use_device(device)
        # Imported here, as in `evaluate_main`
        from fer.analysis.metrics.comparison import check_metric

        check_metric(options.metric)
        if len(models := [*options.runs, *options.onnx]) < 2:
            got = f"only {models[0]}" if models else "none"
            raise FerError(f"fer-compare: expected two runs or more, got {got}.")
        with quick_imports():
            from fer.evaluation.compare import compare
            from fer.evaluation.output import print_comparison

        print_comparison(compare(**vars(options)))

    sys.exit(run_command(run))


def _compare_parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "fer-compare", "Compare trained models on the same images, with paired tests.", _COMPARE_EXAMPLES
    )
    add = parser.add_argument
    runs = "run folder, .ckpt file, bundle or name of a model; seeds of one recipe count as one"
    add("runs", nargs="*", metavar="RUN", help=runs)
    _add_foreign(parser)
    add("--split", help="train, val, test or all (default: val, or what other data has)")
    _add_data(parser)
    add("--metric", default="accuracy", help="accuracy, macro_f1, uar or log_loss (default: accuracy)")
    add("--output", type=Path, help="folder for the report (default: OUTPUTS/compare/TIME_SPLIT)")
    _add_running(parser)
    no_speed = "do not measure the speed; show the speed of training"
    add("--no-speed", dest="with_speed", action="store_false", help=no_speed)
    return parser


if __name__ == "__main__":
    evaluate_main()
