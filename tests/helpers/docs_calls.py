"""Call the commands of the documentation in this process: to their end, or until they are checked."""

import argparse
import functools
import importlib
import io
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docs_text import ROOT, Line

from fer.core.paths import CONFIG_DIR

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
# Data that a page leaves open: `datamodule.path=…` of this data set.
PATHS = {
    "fer2013": "fer2013.csv",
    "ferplus": "$HOME/data",
    "folder": "$HOME/data/CK+",
    "rafdb": "$HOME/data/RAF-DB",
}
# What the workspace calls a stopped run, a stopped sweep and a shared folder.
_STAND_INS = {
    "sweep.resume=outputs/multirun/optimizers": "sweep.resume=outputs/multirun/stopped",
    "journal:/shared/": "journal:",
}
_RESUME = re.compile(r"^resume=(RUN|outputs/train/\.\.\./?)$")
# Searches other than those of conf/, whose spaces tests/sweep/test_sweep_configs.py checks.
_OWN_SPACE = re.compile(r"sweep\.space|sweep=custom")
# Overrides that make each training small; they follow those of the page.
CUTS = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "datamodule.batch_size=8",
    "datamodule.eval_batch_size=32",
)
FEW_FACES = ("datamodule.num_train=64", "datamodule.num_val=32", "datamodule.num_test=14")
_PARSE = {
    name: getattr(argparse.ArgumentParser, name)
    for name in ("parse_args", "parse_intermixed_args", "parse_known_args")
}


class _CheckedError(BaseException):
    """The options of a command have been read, and it stops here."""


def is_ours(line: Line) -> bool:
    """Return whether a command is one of this package, a script of the repository or ``python -c``."""
    return line.program in SCRIPTS or line.program == "python"


def arguments(line: Line, home: Path) -> list[str]:
    """Return the arguments of a command, with data in place of ``…`` and ``$HOME``."""
    words = [word.replace("…/", "") for word in line.words[1:]]
    kind = next((word.partition("=")[2] for word in words if word.startswith("datamodule=")), "fer2013")
    filled = []
    for word in words:
        word = re.sub(r"^datamodule\.path=(\.\.\.|…)$", f"datamodule.path={PATHS.get(kind, '')}", word)
        word = re.sub(
            r"name: (\w+), path: …", lambda match: f"name: {match[1]}, path: {PATHS[match[1]]}", word
        )
        word = _RESUME.sub("resume=STOPPED", word)
        for name, there in _STAND_INS.items():
            word = word.replace(name, there)
        filled.append(word.replace("$HOME", str(home)))
    return filled


def call(line: Line, words: list[str], small: bool = True) -> int:
    """Run a command to its end in the current folder, cut in size, and return its exit status."""
    words = [*words, *(_cuts(line.program, words) if small else ())]
    if "<" in words:
        number = words.index("<")
        content = Path(words[number + 1]).read_bytes()
        del words[number : number + 2]
    else:
        content = b""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [line.program, *words])
        patch.setattr(sys, "path", list(sys.path))
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        try:
            _entry(line.program, words)()
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            # Other tests have another one.
            sys.modules.pop("my_project", None)
    return 0


def check(line: Line, words: list[str], trials: bool = True) -> int:
    """Run a command until its options are checked; return 0, or the exit status of an error.

    ``fer-train`` composes its config and checks the types of all values; with ``-m``, also the space, the
    data and each trial, if asked for. The others parse their arguments.
    """
    with pytest.MonkeyPatch.context() as patch:
        if line.program == "fer-train":
            patch.setattr("fer.training.hydra_app._act", lambda *_: {})
            patch.setattr("fer.sweep.sweeper.run_workers" if trials else "fer.sweep.sweeper.run_sweep", _stop)
            if not _OWN_SPACE.search(str(line)):
                patch.setattr("fer.sweep.sweeper.check_space", lambda *_: None)
        else:
            for name, parse in _PARSE.items():
                patch.setattr(argparse.ArgumentParser, name, _parsing(parse))
        try:
            return call(line, words, small=False)
        except _CheckedError:
            return 0


def first_with_an_option(lines: list[Line]) -> list[Line]:
    """Return the commands with an option, a choice or a kind of input that none before them has."""
    seen: set[tuple[str, str]] = set()
    found = []
    for line in lines:
        features = {(line.program, feature) for feature in _features(line)}
        if features - seen:
            found.append(line)
        seen |= features
    return found


def _features(line: Line) -> Iterator[str]:
    """Yield the option of each word, with its value if that is a choice, and the kinds of the inputs."""
    if line.program == "fer-train":
        for word in line.words:
            key, _, value = word.partition("=")
            yield word if (CONFIG_DIR / key / f"{value}.yaml").is_file() else key
        return
    inputs, option = [], ""
    for word in line.words[1:]:
        if option and not word.startswith("--"):
            yield f"{option}={word.partition(':')[0]}" if re.match(r"[a-z-]+(:|$)", word) else option
        elif not word.startswith("--"):
            inputs.append(re.sub(r"^(RUN|BASE|OTHER)_.*|outputs/train/.*", "RUN", word))
        option = word if word.startswith("--") else ""
        yield option
    yield " ".join(inputs)


def _stop(*_: object) -> None:
    raise _CheckedError


def _parsing(parse: Callable[..., argparse.Namespace]) -> Callable[..., None]:
    def parse_and_stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, original in _PARSE.items():
                patch.setattr(argparse.ArgumentParser, name, original)
            parse(parser, args, namespace)
        raise _CheckedError

    return parse_and_stop


def _cuts(program: str, words: list[str]) -> tuple[str, ...]:
    """Return the arguments that make a command small."""
    if program == "fer-train" and not {"--help", "--cfg"} & set(words):
        if any(word.startswith(("resume=", "sweep.resume=")) for word in words):
            return ()
        synthetic = not any(
            word.startswith(("datamodule=", "datamodule.path", "experiment=")) for word in words
        )
        return CUTS + (FEW_FACES if synthetic else ())
    if program == "fer-compare":
        return ("--no-speed",)
    if program == "fer-benchmark":
        return ("--seconds", "0.01", "--threads", "1")
    return ()


def _entry(program: str, words: list[str]) -> Callable[[], object]:
    if program != "python":
        module, _, function = SCRIPTS[program].partition(":")
        return getattr(importlib.import_module(module), function)
    if words[0] == "-c":
        return functools.partial(exec, words[1], {})
    sys.argv = words
    sys.path.insert(0, str(ROOT / "scripts"))
    return functools.partial(runpy.run_path, str(ROOT / words[0]), run_name="__main__")


@contextmanager
def small_trainings(home: Path) -> Iterator[None]:
    """Make ``fer.train`` small, with the overrides that commands get."""
    import fer

    train = fer.train

    def small(*overrides: str, **options: Any) -> object:
        words = arguments(Line(("fer-train", *overrides), ""), home)
        return train(*words, *_cuts("fer-train", words), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fer, "train", small, raising=False)
        yield


@functools.cache
def options_of(program: str) -> frozenset[str]:
    """Return the options that a command or a script accepts, with those of its subcommands."""
    found: set[str] = set()

    def collect(parser: argparse.ArgumentParser, *_: object) -> None:
        for action in parser._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                for subparser in action.choices.values():
                    collect(subparser)

    def collect_and_stop(parser: argparse.ArgumentParser, *_: object) -> None:
        collect(parser)
        raise _CheckedError

    words = (program,) if program in SCRIPTS else ("python", program)
    with pytest.MonkeyPatch.context() as patch:
        for name in _PARSE:
            patch.setattr(argparse.ArgumentParser, name, collect_and_stop)
        with pytest.raises(_CheckedError):
            call(Line(words, ""), list(words[1:]), small=False)
    return frozenset(found)
