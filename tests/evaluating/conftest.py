"""What tests of fer-evaluate share."""

import pytest


@pytest.fixture
def few_chapters(request, no_pictures, monkeypatch):
    """Leave out pictures, and most chapters where the test is not of them."""
    if "all_chapters" not in request.fixturenames:
        monkeypatch.setattr("fer.evaluating.reporting._errors", lambda found: iter(()))


@pytest.fixture
def all_chapters():
    """Ask for the whole report."""


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def data(fer2013_csv):
    return {"name": "fer2013", "path": str(fer2013_csv)}
