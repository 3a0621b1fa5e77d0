"""Exit statuses and error lines of the command lines."""

import importlib
import io
import os
import subprocess
import sys
import warnings

import pytest

import fer
from fer.core.command_line import BROKEN_PIPE, run_command
from fer.core.errors import FerError

unix_pipes = pytest.mark.skipif(os.name == "nt", reason="pipes are those of Unix")


def fail_with(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (FerError("a.csv: no such file."), 2, "error: a.csv: no such file."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'nowhere'", name="nowhere"), 2, "nowhere is not installed"),
    ],
)
def test_user_errors_are_printed(error, status, message, capsys):
    assert run_command(lambda: fail_with(error)) == status
    assert message in capsys.readouterr().err


def test_a_foreign_or_missing_init_file_is_reported(monkeypatch, capsys):
    """PyPI's package `fer` has the same import name and installs into the same folder."""
    monkeypatch.delattr(fer, "__all__")
    monkeypatch.setattr(fer, "__version__", "25.10.3", raising=False)
    assert run_command(lambda: None) == 2
    error = capsys.readouterr().err
    assert "expected __init__.py of fer-lightning, got that of PyPI's fer 25.10.3. Run pip uninstall" in error
    monkeypatch.setattr(fer, "__file__", None)
    assert run_command(lambda: None) == 2
    assert "got no file" in capsys.readouterr().err


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    assert run_command(lambda: print("run é")) == 0
    assert content.getvalue() == b"run \\xe9\n"


def test_a_warning_of_this_package_is_one_line(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    run_command(lambda: None)
    own = warnings.formatwarning("Copies.", UserWarning, fer.__file__, 3)
    assert own == "WARNING: Copies.\n"
    assert "other.py:3: UserWarning: Copies." in warnings.formatwarning(
        "Copies.", UserWarning, "/other.py", 3
    )


def test_each_process_prints_its_rank(monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run_command(lambda: fail_with(FerError("a.png: damaged."))) == 2
    assert capsys.readouterr().err == "process 1: error: a.png: damaged.\n"


def test_a_missing_module_of_fer_is_a_bug():
    with pytest.raises(ModuleNotFoundError):
        run_command(lambda: importlib.import_module("fer.nowhere"))


@pytest.mark.parametrize(
    ("module", "main", "runs"),
    [
        ("training.cli", "main", 1),
        ("evaluation.cli", "evaluate_main", 1),
        ("evaluation.cli", "compare_main", 2),
        ("export.cli", "main", 1),
    ],
)
def test_each_command_reports_missing_packages_in_a_base_install(module, main, runs):
    code = f"""
import sys
import warnings
# As if they were not installed.
sys.modules.update(dict.fromkeys(("hydra", "pydantic", "torch", "scipy", "matplotlib")))
sys.argv = [{main!r}, "missing_run", "missing_run_2"][: 1 + {runs}]
from fer.{module} import {main}
{main}()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "is not installed" in result.stderr
    assert "Traceback" not in result.stderr


BROKEN = """
import os, subprocess, sys
from fer.core.command_line import run_command
def to_stdout():
    print("x" * {size})
def to_child():
    child = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    child.wait()
    child.stdin.write(b"x")
    child.stdin.flush()
sys.exit(run_command({command}))
"""


def piped(code, keep_open):
    """Run code whose standard output is a pipe; its reader closes it immediately, or keeps it open."""
    reading, writing = os.pipe()
    if not keep_open:
        os.close(reading)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    return result.returncode, result.stderr


@unix_pipes
@pytest.mark.parametrize("size", [10, 10**6])  # buffered until the end, or written immediately
def test_closed_standard_output_ends_silently_with_status_141(size):
    assert piped(BROKEN.format(size=size, command="to_stdout"), keep_open=False) == (BROKEN_PIPE, "")


@unix_pipes
def test_another_broken_pipe_is_an_error():
    status, errors = piped(BROKEN.format(size=1, command="to_child"), keep_open=True)
    assert status == 1
    assert "BrokenPipeError" in errors


@unix_pipes
def test_help_of_training_may_be_piped_to_head():
    code = "import sys; sys.argv = ['fer-train', '--help']; from fer.training.cli import main; main()"
    assert piped(code, keep_open=False) == (BROKEN_PIPE, "")
