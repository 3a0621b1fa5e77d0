"""What a run notes down of how it was started."""

import sys

import pytest

from fer.training.run_folder import command_line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=3", "name=two words"], "fer-train seed=3 'name=two words'"),
        (
            ["sweep.storage=postgresql://me:s3c:r3t@host:5432/db"],
            "fer-train sweep.storage=postgresql://me:***@host:5432/db",
        ),
        (["sweep.storage=journal:/shared/sweep.log"], "fer-train sweep.storage=journal:/shared/sweep.log"),
    ],
)
def test_command_is_kept_without_its_password(monkeypatch, words, expected):
    monkeypatch.setattr(sys, "argv", ["/bin/fer-train", *words])
    assert command_line() == expected
