"""Changes to Streamlit's server: no external requests, upload limits, session storage, pages."""

import gc

import pytest
from starlette.formparsers import MultiPartParser
from streamlit import config, net_util
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import bootstrap
from streamlit.web.server import server as streamlit_server
from streamlit.web.server.server_util import is_url_from_allowed_origins

from fer.app import server
from fer.app.server import BoundedUploadManager, DisconnectedSessions
from fer.app.settings import Settings, set_settings
from fer.core.errors import FerError


@pytest.fixture
def requested_urls(monkeypatch):
    """Start the server without running it; return a list of the external URLs that it requests."""
    requested_urls = []
    for owner, name in (
        (net_util, "get_external_ip"),
        (streamlit_server, "MemoryUploadedFileManager"),
        (streamlit_server, "MemorySessionStorage"),
        (MultiPartParser, "spool_max_size"),
        (PagesManager, "uses_pages_directory"),
    ):
        # Restored after the test.
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda url, timeout: requested_urls.append(url))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(bootstrap, "load_config_options", lambda options: None)
    monkeypatch.setattr(bootstrap, "run", lambda *_: None)
    set_settings(Settings(detector="haar"))
    server.serve("localhost", 8501, browser=False)
    return requested_urls


def test_the_options_of_the_user_are_kept(monkeypatch):
    variables = {
        "SERVER_BASE_URL_PATH": "faces", "SERVER_ENABLE_CORS": "false", "THEME_BASE_RADIUS": "2px",
        "SERVER_PORT": "9000", "SERVER_CORS_ALLOWED_ORIGINS": "https://a.example https://b.example",
    }  # fmt: skip
    # The parsed options are global; the former ones are restored after the test.
    monkeypatch.setattr(config, "_config_options", None)
    for name, value in variables.items():
        monkeypatch.setenv(f"STREAMLIT_{name}", value)
    set_settings(Settings(max_upload_mb=3))
    options = server._options("localhost", 8501, browser=True)
    expected = {
        "server.baseUrlPath": "faces", "server.enableCORS": False, "theme.baseRadius": "2px",
        "server.corsAllowedOrigins": ["https://a.example", "https://b.example"],
        # The command line comes first, and the defaults last.
        "server.port": 8501, "server.maxUploadSize": 3, "server.headless": False,
        "browser.gatherUsageStats": False,
    }  # fmt: skip
    assert {name: options[name] for name in expected} == expected
    bootstrap.load_config_options({name.replace(".", "_"): value for name, value in options.items()})
    assert server._url("0.0.0.0", 8501) == "http://localhost:8501/faces"


def test_a_wrong_variable_is_reported(monkeypatch):
    monkeypatch.setenv("STREAMLIT_SERVER_ENABLE_CORS", "maybe")
    with pytest.raises(FerError, match=r"STREAMLIT_SERVER_ENABLE_CORS: .*maybe.*\w\. Correct or unset"):
        server._options("localhost", 8501, browser=True)


def test_a_request_from_another_origin_causes_no_external_request(requested_urls):
    assert not is_url_from_allowed_origins("http://elsewhere.example:8501")
    assert requested_urls == []


def test_upload_limits_and_session_storage_are_installed(requested_urls, tmp_path):
    running = streamlit_server.Server(str(server.MAIN), False)
    assert isinstance(running._runtime.uploaded_file_mgr, BoundedUploadManager)
    assert isinstance(running._runtime._session_mgr._session_storage, DisconnectedSessions)


@pytest.mark.usefixtures("requested_urls")
def test_streamlit_does_not_run_the_modules_of_pages():
    assert PagesManager(str(server.MAIN)).uses_pages_directory is False
