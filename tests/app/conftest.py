"""A server of the app, a page in a browser, and a folder for what it looks like."""

from pathlib import Path

import pytest
from serving_app import WIDE, serving

from fer.app import settings as app_settings


@pytest.fixture(autouse=True)
def _own_settings():
    """Give every test the settings that the app has without options."""
    app_settings.use(app_settings.Settings())
    yield
    app_settings.use(app_settings.Settings())


@pytest.fixture(scope="session")
def app_url():
    """Start ``fer-app`` with the model that comes with the package and Haar's cascade."""
    with serving() as url:
        yield url


@pytest.fixture
def browser_page(chromium):
    """Open a page of a usual screen's width, light."""
    context = chromium.new_context(viewport=WIDE, color_scheme="light", accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shots():
    """Return the folder for screenshots."""
    folder = Path(__file__).resolve().parents[2] / "outputs" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
