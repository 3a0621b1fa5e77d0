"""--version of every command is that of the package."""

import importlib
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_version(command, monkeypatch, capsys):
    module, _, name = PROJECT["scripts"][command].partition(":")
    monkeypatch.setattr(sys, "argv", [command, "--version"])
    with pytest.raises(SystemExit) as exit_:
        getattr(importlib.import_module(module), name)()
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"{command} {metadata.version('fer-lightning')}\n"
