"""What the app changes in Streamlit before it serves."""

import gc

import pytest
from starlette.formparsers import MultiPartParser
from streamlit import net_util
from streamlit.web import bootstrap
from streamlit.web.server import server as streamlit_server
from streamlit.web.server.server_util import is_url_from_allowed_origins

from fer.app import server
from fer.app.held_files import HeldFiles
from fer.app.left_sessions import LeftSessions
from fer.app.settings import Settings, use


@pytest.fixture
def asked(monkeypatch):
    """Addresses of strangers that are asked, once the server would run."""
    asked = []
    for place, name in (
        (net_util, "get_external_ip"),
        (streamlit_server, "MemoryUploadedFileManager"),
        (streamlit_server, "MemorySessionStorage"),
        (MultiPartParser, "spool_max_size"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))  # so that it is given back
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda url, timeout: asked.append(url))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(bootstrap, "load_config_options", lambda options: None)
    monkeypatch.setattr(bootstrap, "run", lambda *_: None)
    use(Settings(detector="haar"))
    server.serve("localhost", 8501, browser=False)
    return asked


def test_a_page_of_another_site_makes_the_server_ask_nobody(asked):
    assert not is_url_from_allowed_origins("http://elsewhere.example:8501")
    assert asked == []


def test_files_of_visitors_are_bounded(asked, tmp_path):
    made = streamlit_server.Server(str(server.MAIN), False)
    assert isinstance(made._runtime.uploaded_file_mgr, HeldFiles)
    assert isinstance(made._runtime._session_mgr._session_storage, LeftSessions)
