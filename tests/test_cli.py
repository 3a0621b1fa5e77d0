"""What every command line does with what goes wrong."""

import importlib
import os
import subprocess
import sys

import pytest

from fer.cli import READER_GONE, run_and_explain
from fer.errors import FerError

unix_pipes = pytest.mark.skipif(os.name == "nt", reason="pipes are those of Unix")


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


def test_of_several_processes_each_says_which_it_is(monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run_and_explain(lambda: fail_with(FerError("a.png: damaged."))) == 2
    assert capsys.readouterr().err == "process 1: error: a.png: damaged.\n"


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


GONE = """
import os, subprocess, sys
from fer.cli import run_and_explain
def to_stdout():
    print("x" * {size})
def to_another():
    child = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    child.wait()
    child.stdin.write(b"x")
    child.stdin.flush()
sys.exit(run_and_explain({command}))
"""


def piped(code, stays):
    """Run code whose standard output is a pipe; its reader leaves at once, or stays."""
    reading, writing = os.pipe()
    if not stays:
        os.close(reading)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    return done.returncode, done.stderr


@unix_pipes
@pytest.mark.parametrize("size", [10, 10**6])  # held back until the end, or written at once
def test_a_reader_that_has_seen_enough_ends_a_command_quietly_and_without_success(size):
    assert piped(GONE.format(size=size, command="to_stdout"), stays=False) == (READER_GONE, "")


@unix_pipes
def test_a_pipe_elsewhere_that_breaks_is_an_error():
    status, errors = piped(GONE.format(size=1, command="to_another"), stays=True)
    assert status == 1
    assert "BrokenPipeError" in errors


@unix_pipes
def test_help_of_training_may_be_cut_short():
    code = "import sys; sys.argv = ['fer-train', '--help']; from fer.train import main; main()"
    assert piped(code, stays=False) == (READER_GONE, "")
