"""The download, from a server on this machine."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fer.data.cache import cache_folder
from fer.errors import FerError
from fer.faces import download

GOOD = b"a network" * 1000
HASH = hashlib.sha256(GOOD).hexdigest()


class Pages(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_response(200 if self.path != "/absent" else 404)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        self.wfile.write(GOOD[:100] if self.path == "/short" else GOOD)

    def log_message(self, *arguments):
        pass


@contextmanager
def server():
    Pages.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def test_fetched_once_and_whole(cache):
    with server() as address:
        first = download.fetch_yunet(f"{address}/good", HASH)
        second = download.fetch_yunet(f"{address}/good", HASH)
    assert first == second == download.yunet_in_cache(HASH)
    assert first.read_bytes() == GOOD
    assert Pages.asked == 1
    assert [path.name for path in cache.iterdir()] == [first.name]


@pytest.mark.parametrize(
    ("page", "words"), [("other", "SHA-256"), ("absent", "Not Found"), ("short", "SHA-256")]
)
def test_anything_else_leaves_nothing(page, words, cache):
    with server() as address, pytest.raises(FerError, match=words) as caught:
        download.fetch_yunet(f"{address}/{page}", "0" * 64 if page == "other" else HASH)
    assert "--detector haar" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_offline_is_one_line():
    with server() as address:
        pass  # nobody listens there any more
    with pytest.raises(FerError, match="cannot be downloaded") as caught:
        download.fetch_yunet(f"{address}/good", HASH)
    assert "--detector-model" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_copy_is_fetched_again():
    with server() as address:
        path = download.fetch_yunet(f"{address}/good", HASH)
        path.write_bytes(GOOD[:50])
        assert download.yunet_in_cache(HASH) is None
        assert download.fetch_yunet(f"{address}/good", HASH).read_bytes() == GOOD


def test_lies_with_the_other_caches(monkeypatch):
    assert download.yunet_place().parent == cache_folder()
    monkeypatch.delenv("FER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert download.yunet_place().parent == cache_folder()
