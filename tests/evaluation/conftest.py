"""Fixtures for tests of fer-evaluate."""

import pytest


@pytest.fixture
def few_sections(request, no_plots, monkeypatch):
    """Skip rendering of plots, and slow sections unless the test requests `all_sections`."""
    if "all_sections" not in request.fixturenames:
        monkeypatch.setattr("fer.evaluation.report._errors", lambda *inputs: iter(()))


@pytest.fixture
def all_sections():
    """Request a report with all sections."""


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def data(fer2013_csv):
    return {"name": "fer2013", "path": str(fer2013_csv)}
