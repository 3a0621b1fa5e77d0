"""Fixtures: default settings, a server of the app, a browser page, and a folder for screenshots."""

from pathlib import Path

import pytest
from app_server import WIDE, serving

from fer.app import settings as app_settings


@pytest.fixture(autouse=True)
def _default_settings():
    """Give every test the default settings of the app."""
    app_settings.set_settings(app_settings.Settings())
    yield
    app_settings.set_settings(app_settings.Settings())


@pytest.fixture(scope="session")
def app_url():
    """Start ``fer-app`` with the model of the package and the Haar detector."""
    with serving() as url:
        yield url


@pytest.fixture
def browser_page(chromium):
    """Open a browser page with a desktop viewport in light mode."""
    context = chromium.new_context(viewport=WIDE, color_scheme="light", accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shots():
    """Return the folder for screenshots."""
    folder = Path(__file__).resolve().parents[2] / "outputs" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
