"""fer-models: the versions of exported models, side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.bundle.card import Card, read_card
from fer.bundle.files import CARD
from fer.bundle.find import place_of
from fer.bundle.readme import readme
from fer.bundle.registry import BEST, Registry
from fer.bundle.table import compare_rows, list_rows, print_table
from fer.cli import run_and_explain
from fer.errors import FerError
from fer.places import at_home

_EXAMPLES = """examples:
  fer-models list                                every model and version
  fer-models show smile:best                     what it is, how to use it and how good it is
  fer-models compare smile:1 smile:2 RUN/bundle  figures side by side, where they are of the same images
  fer-models promote smile:2                     from now on smile:best is version 2

A model is named NAME (its latest version), NAME:N, NAME:ALIAS, or by the folder of its bundle. fer-export RUN
--register adds a version. fer-compare RUN RUN tests whether a difference is more than chance."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        "fer-models",
        description="List, show, compare and promote the versions of exported models.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument(
        "--registry", type=Path, default=Path("models"), metavar="DIR", help="default: models/"
    )
    actions = words.add_subparsers(dest="action", required=True, metavar="list|show|compare|promote")
    actions.add_parser("list", help="every model and version")
    show = actions.add_parser("show", help="what a model is, how to use it and how good it is")
    show.add_argument(
        "models", nargs=1, metavar="MODEL", help="NAME, NAME:N, NAME:ALIAS or a bundle's folder"
    )
    compare = actions.add_parser("compare", help="figures side by side")
    compare.add_argument("models", nargs="+", metavar="MODEL", help="as for show, two or more")
    promote = actions.add_parser("promote", help="let an alias stand for a version")
    promote.add_argument("model", metavar="NAME:N", help="a version of the registry")
    promote.add_argument("--alias", default=BEST, help=f"default: {BEST}")
    return words


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-models`` and exit with its status."""
    request = parser().parse_args(arguments)
    action = {"list": _list, "show": _show, "compare": _compare, "promote": _promote}[request.action]
    sys.exit(run_and_explain(lambda: action(request, Registry(at_home(request.registry)))))


def _list(request: argparse.Namespace, registry: Registry) -> None:
    if not registry.names():
        print(f"{registry.folder}: no models yet. fer-export RUN --register adds one.")
        return
    rows, unreadable = list_rows(registry)
    print_table(rows)
    if unreadable:
        raise FerError("; ".join(unreadable))


def _show(request: argparse.Namespace, registry: Registry) -> None:
    folder = _folder(request.models[0], registry)
    print(readme(read_card(folder / CARD)), end="")
    print(f"\nfolder: {folder}")


def _compare(request: argparse.Namespace, registry: Registry) -> None:
    if len(request.models) < 2:
        raise FerError(f"compare: expected two models or more, got {request.models[0]} alone. Name another.")
    cards: list[tuple[str, Card]] = [
        (model, read_card(_folder(model, registry) / CARD)) for model in request.models
    ]
    rows, notes = compare_rows(cards)
    print_table(rows)
    for note in notes:
        print(note)


def _promote(request: argparse.Namespace, registry: Registry) -> None:
    before = registry.promote(request.model, request.alias)
    folder = registry.place(request.model)
    was = f"it was {before} before" if before is not None else "it is new"
    print(f"{folder.parent.name}:{request.alias} is version {folder.name}; {was}")


def _folder(model: str, registry: Registry) -> Path:
    """Return the folder that a word of the command line means, as `find_bundle` does."""
    if (Path(model) / CARD).is_file():
        return Path(model)
    return place_of(model, registry) or registry.place(model)


if __name__ == "__main__":
    main()
