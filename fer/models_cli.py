"""fer-models: list, show, compare and promote the versions of exported models."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.bundle.card import Card, read_card
from fer.bundle.files import CARD
from fer.bundle.find import model_folder
from fer.bundle.readme import readme
from fer.bundle.registry import BEST, Registry
from fer.bundle.table import compare_rows, list_rows, print_table
from fer.cli import run_command
from fer.errors import FerError
from fer.places import expand_user

_EXAMPLES = """examples:
  fer-models list                                every model and version
  fer-models show smile:best                     its card: usage, input, output, metrics, training
  fer-models compare smile:1 smile:2 RUN/bundle  metrics in one table; marked if measured on other images
  fer-models promote smile:2                     smile:best now points to version 2

Name a model as NAME (its latest version), NAME:N, NAME:ALIAS, or by the folder of its bundle. fer-export RUN
--register adds a version. fer-compare RUN RUN tests whether the difference of two models is significant."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        "fer-models",
        description="List, show, compare and promote the versions of exported models.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--registry",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="folder of the registry (default: models/)",
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="list|show|compare|promote")
    actions.add_parser("list", help="list every model and version")
    show = actions.add_parser("show", help="show the card of a model")
    show.add_argument(
        "models", nargs=1, metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS or the folder of a bundle"
    )
    compare = actions.add_parser("compare", help="compare the metrics of models")
    compare.add_argument("models", nargs="+", metavar="MODEL", help="two or more models, named as for show")
    promote = actions.add_parser("promote", help="point an alias to a version")
    promote.add_argument("model", metavar="NAME:N", help="a version in the registry")
    promote.add_argument("--alias", default=BEST, help=f"name of the alias (default: {BEST})")
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-models`` and exit."""
    request = parser().parse_args(arguments)
    action = {"list": _list, "show": _show, "compare": _compare, "promote": _promote}[request.action]
    sys.exit(run_command(lambda: action(request, Registry(expand_user(request.registry)))))


def _list(request: argparse.Namespace, registry: Registry) -> None:
    if not registry.names():
        print(f"{registry.folder}: no models yet. fer-export RUN --register adds one.")
        return
    rows, errors = list_rows(registry)
    print_table(rows)
    if errors:
        raise FerError("; ".join(errors))


def _show(request: argparse.Namespace, registry: Registry) -> None:
    folder = _folder(request.models[0], registry)
    print(readme(read_card(folder / CARD)), end="")
    print(f"\nfolder: {folder}")


def _compare(request: argparse.Namespace, registry: Registry) -> None:
    if len(request.models) < 2:
        raise FerError(f"compare: expected two or more models, got only {request.models[0]}. Name another.")
    cards: list[tuple[str, Card]] = [
        (model, read_card(_folder(model, registry) / CARD)) for model in request.models
    ]
    rows, notes = compare_rows(cards)
    print_table(rows)
    for note in notes:
        print(note)


def _promote(request: argparse.Namespace, registry: Registry) -> None:
    before = registry.promote(request.model, request.alias)
    folder = registry.resolve(request.model)
    previous = f"previously version {before}" if before is not None else "a new alias"
    print(f"{folder.parent.name}:{request.alias} is now version {folder.name} ({previous})")


def _folder(model: str, registry: Registry) -> Path:
    """Return the folder of a model named on the command line; see `find_bundle`."""
    if (Path(model) / CARD).is_file():
        return Path(model)
    return model_folder(model, registry) or registry.resolve(model)


if __name__ == "__main__":
    main()
