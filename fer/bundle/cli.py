"""fer-models: list, show, compare, promote and push versions of exported models, or put one on a web page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.bundle.calibrate_options import add_calibrate, run_calibrate
from fer.bundle.card import Card, read_card, same_images, validation_metrics
from fer.bundle.files import CARD, Bundle, read_bundle
from fer.bundle.readme import readme
from fer.bundle.registry import BEST, ZOO, Registry, find_bundle, model_folder, packaged_models, unknown_model
from fer.core.command_line import command_parser, run_command
from fer.core.errors import FerError, import_with_hint
from fer.core.hub import is_on_hub, parse_reference
from fer.core.paths import expand_user
from fer.core.text import aligned, percent
from fer.core.timing import time_in_turns

_EXAMPLES = """examples:
  fer-models list                                every model and version
  fer-models show smile:best                     its card: usage, input, output, metrics, training
  fer-models compare smile:1 smile:2 RUN/bundle  metrics in one table; marked if measured on other images
  fer-models promote smile:2                     smile:best now points to version 2
  fer-models calibrate smile:2 --data folder:$HOME/mine --name mine   fit to images of your own
  fer-models push smile:2 hf:owner/name          to the Hugging Face Hub; fer-predict --model hf:owner/name
  fer-models web smile:best page/                a web page that runs it in the browser

Name a model as NAME (its latest version), NAME:N, NAME:ALIAS, hf:owner/name[@revision], or by the folder of
its bundle. fer-export RUN --register adds a version. fer-compare RUN RUN tests whether the difference of two
models is significant."""
_HEADER = ("model", "network", "px", "precision", "MB", "images", "accuracy", "95 %", "macro-F1")
_SPEED = "ms per face"
# Time for each model.
_SECONDS = 0.1
# Marks metrics that were measured on other images.
_MARK = "*"
Rows = list[tuple[str, ...]]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = command_parser(
        "fer-models",
        "List, show, compare, promote and push versions of models, or put one on a web page.",
        _EXAMPLES,
    )
    command.add_argument(
        "--registry",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="folder of the registry (default: models/)",
    )
    actions = command.add_subparsers(
        dest="action", required=True, metavar="list|show|compare|promote|calibrate|push|web"
    )
    listing = actions.add_parser("list", help="list every model and version")
    listing.add_argument("--speed", action="store_true", help="measure the speed of each on this machine")
    show = actions.add_parser("show", help="show the card of a model")
    show.add_argument("model", metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS or the folder of a bundle")
    compare = actions.add_parser("compare", help="compare the metrics of models")
    compare.add_argument("models", nargs="+", metavar="MODEL", help="two or more models, named as for show")
    promote = actions.add_parser("promote", help="point an alias to a version")
    promote.add_argument("model", metavar="NAME:N", help="a version in the registry")
    promote.add_argument("--alias", default=BEST, help=f"name of the alias (default: {BEST})")
    add_calibrate(actions)
    _add_push(actions)
    _add_web(actions)
    return command


def _add_push(actions: Any) -> None:
    push = actions.add_parser(
        "push",
        help="push a model to the Hugging Face Hub",
        description="Push a model to the Hugging Face Hub in one commit: model.onnx, card.json, README.md "
        "with the metadata of the Hub, LICENSE, config.json and, if the run is found, model.safetensors.",
    )
    push.add_argument(
        "model", metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS, RUN or the folder of a bundle"
    )
    push.add_argument("target", metavar="hf:OWNER/NAME", help="the repository; created if there is none")
    push.add_argument(
        "--run",
        type=Path,
        help="run folder that the model was exported from, for its weights (default: beside the bundle)",
    )
    push.add_argument("--private", action="store_true", help="make a new repository private")
    push.add_argument(
        "--license",
        default="other",
        metavar="ID",
        help="licence as the Hub names it, e.g. mit (default: other, with the terms of the card in LICENSE)",
    )


def _add_web(actions: Any) -> None:
    web = actions.add_parser(
        "web",
        help="write a web page that runs a model in the browser",
        description="Write a static web page that finds and classifies faces in the browser. Any web server "
        "can serve the folder, below any path; no picture leaves the visitor's device.",
    )
    web.add_argument("model", metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS or the folder of a bundle")
    web.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder")
    web.add_argument(
        "--runtime",
        type=Path,
        metavar="DIR",
        help="folder or archive of the npm package onnxruntime-web, to copy (default: load it from a CDN)",
    )
    web.add_argument("--detector-model", type=Path, metavar="FILE", help="YuNet's file, as for fer-predict")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-models`` and exit."""
    request = parser().parse_args(arguments)
    actions = {
        "list": _list, "show": _show, "compare": _compare, "promote": _promote, "push": _push, "web": _web,
        "calibrate": _calibrate,
    }  # fmt: skip
    action = actions[request.action]
    sys.exit(run_command(lambda: action(request, Registry(expand_user(request.registry)))))


def _list(request: argparse.Namespace, registry: Registry) -> None:
    rows, errors = list_rows(registry)
    # A model of the registry hides one of this installation that has the same name.
    packaged = [name for name in packaged_models() if name not in registry.names()]
    rows += [(*_row(name, read_card(ZOO / name / CARD)), "installed", "") for name in packaged]
    if request.speed:
        rows = _with_speed(rows, registry)
    print(*aligned(rows), sep="\n")
    if not registry.names():
        print(f"{registry.folder}: no registered model yet. fer-export RUN --register adds one.")
    if errors:
        raise FerError("; ".join(errors))


def _show(request: argparse.Namespace, registry: Registry) -> None:
    folder = _folder(request.model, registry)
    print(readme(read_card(folder / CARD)), end="")
    print(f"\nfolder: {folder}")


def _compare(request: argparse.Namespace, registry: Registry) -> None:
    if len(request.models) < 2:
        raise FerError(f"compare: expected two or more models, got only {request.models[0]}. Name another.")
    rows, notes = compare_rows(
        [(model, read_card(_folder(model, registry) / CARD)) for model in request.models]
    )
    print(*aligned(_with_speed(rows, registry)), sep="\n")
    print(f"{_SPEED}: from uint8 pixels to probabilities, one CPU thread of this machine, median")
    for note in notes:
        print(note)


def _promote(request: argparse.Namespace, registry: Registry) -> None:
    before = registry.promote(request.model, request.alias)
    folder = registry.resolve(request.model)
    previous = f"previously version {before}" if before is not None else "a new alias"
    print(f"{folder.parent.name}:{request.alias} is now version {folder.name} ({previous})")


def _push(request: argparse.Namespace, registry: Registry) -> None:
    from fer.bundle.push import RECORD, push_bundle, record_push

    reference = parse_reference(request.target)
    bundle = read_bundle(_folder(request.model, registry))
    run = None if request.run is None else expand_user(request.run)
    push = push_bundle(bundle, reference, run, request.private, request.license)
    record_push(registry.folder, bundle, push.reference)
    print(f"{push.reference}: {', '.join(push.files)}")
    if push.weights_missing:
        print(f"without model.safetensors: {push.weights_missing}")
    print(f"SHA-256 of model.onnx: {bundle.card.model['sha256']}, recorded in {registry.folder / RECORD}")


def _web(request: argparse.Namespace, registry: Registry) -> None:
    # The page also needs the face detector, a package above this one.
    site = import_with_hint("fer.web.site")
    paths = (request.folder, request.runtime, request.detector_model)
    folder, runtime, detector = (path and expand_user(path) for path in paths)
    site.write_page(read_bundle(_folder(request.model, registry)), folder, runtime, detector)
    print(site.describe(folder))


def _calibrate(request: argparse.Namespace, registry: Registry) -> None:
    run_calibrate(request, registry, _bundle(request.model, registry))


def _bundle(model: str, registry: Registry) -> Bundle:
    return find_bundle(model) if is_on_hub(model) else read_bundle(_folder(model, registry))


def _with_speed(rows: Rows, registry: Registry) -> Rows:
    """Return rows with another column: the milliseconds of a call with one face."""
    times = [f"{_time_call(read_bundle(_folder(row[0], registry))):.2f}" for row in rows[1:]]
    return [(*row, cell) for row, cell in zip(rows, [_SPEED, *times], strict=True)]


def _time_call(bundle: Bundle) -> float:
    from fer.bundle.runtime import OnnxClassifier

    classifier, side = OnnxClassifier(bundle, threads=1), bundle.card.image_size
    face = np.zeros((1, side, side, 3), np.uint8)
    return 1e3 * float(np.median(time_in_turns([lambda: classifier(face)], _SECONDS)))


def _folder(model: str, registry: Registry) -> Path:
    """Return the folder of a model named on the command line; as a path or as NAME[:VERSION]."""
    if is_on_hub(model):
        return find_bundle(model).folder
    for folder in (Path(model), Path(model) / "bundle"):
        if (folder / CARD).is_file():
            return folder
    if (named := model_folder(model, registry)) is not None:
        return named
    raise unknown_model(model, registry)


def list_rows(registry: Registry) -> tuple[Rows, list[str]]:
    """Return a header and a row per version, newest first within a name, and errors of unreadable cards."""
    rows: Rows = [(*_HEADER, "aliases", "made")]
    errors = []
    for name in registry.names():
        aliases = registry.aliases(name)
        for version in reversed(registry.versions(name)):
            try:
                card = read_card(registry.folder / name / str(version) / CARD)
            except FerError as error:
                errors.append(str(error))
                continue
            names = ", ".join(alias for alias, number in aliases.items() if number == version)
            rows.append((*_row(f"{name}:{version}", card), names, card.created[:10]))
    return rows, errors


def compare_rows(cards: Sequence[tuple[str, Card]]) -> tuple[Rows, list[str]]:
    """Return a header and one row per model, and notes.

    Metrics on other images than those of the first model are marked.

    Args:
        cards: Display name and card of each model.
    """
    first = cards[0][1]
    rows: Rows = [_HEADER]
    for name, card in cards:
        *start, images, accuracy, interval, f1 = _row(name, card)
        mark = "" if same_images(first, card) else _MARK
        rows.append((*start, images + mark, accuracy + mark, interval, f1 + mark))
    return rows, _notes(cards)


def _notes(cards: Sequence[tuple[str, Card]]) -> list[str]:
    """Return why the metrics may not be comparable, or be biased."""
    first_name, first = cards[0]
    notes = []
    if not all(same_images(first, card) for _, card in cards):
        notes.append(
            f"{_MARK} Not comparable with {first_name}: measured on other images or labels, or not known on "
            "which. fer-evaluate RUN --data scores a model on another data set."
        )
    if any(card.labels.names != first.labels.names for _, card in cards):
        notes.append("The models do not have the same emotions in the same order.")
    if any(validation_metrics(card).get("selection_split") for _, card in cards):
        notes.append(
            "Validation, selection split: each model was selected on these images (optimistic bias)."
        )
    return notes


def _row(name: str, card: Card) -> tuple[str, ...]:
    """Return the cells of `_HEADER` for a model."""
    metrics = validation_metrics(card)
    images = f"{metrics['split']} {metrics['n']:,}" if metrics else "-"
    figures = metrics.get("figures", {})
    accuracy = figures.get("accuracy", {})
    low, high = accuracy.get("low"), accuracy.get("high")
    interval = "-" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    values = [figures.get(key, {}).get("value") for key in ("accuracy", "macro_f1")]
    percentages = ["-" if value is None else percent(value) for value in values]
    return (
        name, str(card.model["architecture"]), str(network_side(card)), card.precision,
        f"{card.model['bytes'] / 1e6:.2f}", images, percentages[0], interval, percentages[1],
    )  # fmt: skip


def network_side(card: Card) -> int:
    """Return the side in pixels at which the network computes; its file resizes the faces it is given."""
    return int(card.training.get("recipe", {}).get("model", {}).get("image_size", card.image_size))


if __name__ == "__main__":
    main()
