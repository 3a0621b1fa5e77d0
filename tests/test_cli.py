"""What every command line does with what goes wrong."""

import importlib
import subprocess
import sys

import pytest

from fer.cli import run_and_explain
from fer.errors import FerError


def fail_with(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (FerError("a.csv: no such file."), 2, "error: a.csv: no such file."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'nowhere'", name="nowhere"), 2, "nowhere is not installed"),
    ],
)
def test_what_a_user_can_mend_is_said(error, status, words, capsys):
    assert run_and_explain(lambda: fail_with(error)) == status
    assert words in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_a_defect():
    with pytest.raises(ModuleNotFoundError):
        run_and_explain(lambda: importlib.import_module("fer.nowhere"))


@pytest.mark.parametrize("command", ["train_cli", "evaluate", "compare", "export"])
def test_each_command_says_so_where_prediction_alone_is_installed(command):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("hydra", "torch", "scipy", "matplotlib"))) # as if they were not installed
sys.argv = [{command!r}, "there_is_no_run", "neither_here"][: 2 if {command!r} == "export" else 3]
from fer.{command} import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not installed" in done.stderr
    assert "Traceback" not in done.stderr
