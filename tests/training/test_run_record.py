"""The recorded command and commit of a run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fer.training import run_record
from fer.training.run_record import command_line

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["seed=3", "name=two words"], "fer-train seed=3 'name=two words'"),
        (
            ["sweep.storage=postgresql://me:s3c:r3t@host:5432/db"],
            "fer-train sweep.storage=postgresql://me:***@host:5432/db",
        ),
        (["sweep.storage=journal:/shared/sweep.log"], "fer-train sweep.storage=journal:/shared/sweep.log"),
    ],
)
def test_command_is_recorded_without_passwords(monkeypatch, arguments, expected):
    monkeypatch.setattr(sys, "argv", ["/bin/fer-train", *arguments])
    assert command_line() == expected


def test_commit_is_that_of_the_checkout(monkeypatch, tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    package = tmp_path / "fer"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(run_record.fer, "__file__", str(package / "__init__.py"))
    # an installed package has no checkout
    assert run_record._commit() is None
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert re.fullmatch("[0-9a-f]{40}", run_record._commit())
    (package / "__init__.py").write_text("changed = True\n")
    assert re.fullmatch("[0-9a-f]{40}[+]", run_record._commit())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout")
def test_commit_does_not_depend_on_the_working_directory():
    head = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    assert run_record._commit().removesuffix("+") == head.stdout.strip()
