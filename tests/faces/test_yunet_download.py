"""The download of YuNet, from a local server."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fer.core.errors import FerError
from fer.core.paths import cache_folder
from fer.faces import yunet

GOOD = b"a network" * 1000
HASH = hashlib.sha256(GOOD).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        type(self).requests += 1
        self.send_response(200 if self.path != "/missing" else 404)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        self.wfile.write(GOOD[:100] if self.path == "/short" else GOOD)

    def log_message(self, *arguments):
        pass


@contextmanager
def server():
    Handler.requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def test_downloaded_once(cache):
    with server() as address:
        first = yunet.fetch_yunet(f"{address}/good", HASH)
        second = yunet.fetch_yunet(f"{address}/good", HASH)
    assert first == second == yunet.yunet_in_cache(HASH)
    assert first.read_bytes() == GOOD
    assert Handler.requests == 1
    assert [path.name for path in cache.iterdir()] == [first.name]


@pytest.mark.parametrize(
    ("page", "message"), [("other", "SHA-256"), ("missing", "Not Found"), ("short", "SHA-256")]
)
def test_failed_downloads_store_nothing(page, message, cache):
    with server() as address, pytest.raises(FerError, match=message) as caught:
        yunet.fetch_yunet(f"{address}/{page}", "0" * 64 if page == "other" else HASH)
    assert "--detector haar" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_offline_error_is_one_line():
    with server() as address:
        pass
    # The server is closed now.
    with pytest.raises(FerError, match="cannot be downloaded") as caught:
        yunet.fetch_yunet(f"{address}/good", HASH)
    assert "--detector-model" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_file_is_downloaded_again():
    with server() as address:
        path = yunet.fetch_yunet(f"{address}/good", HASH)
        path.write_bytes(GOOD[:50])
        assert yunet.yunet_in_cache(HASH) is None
        assert yunet.fetch_yunet(f"{address}/good", HASH).read_bytes() == GOOD


def test_is_in_the_cache_folder(monkeypatch):
    assert yunet.yunet_cache_path().parent == cache_folder()
    monkeypatch.delenv("FER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert yunet.yunet_cache_path().parent == cache_folder()
