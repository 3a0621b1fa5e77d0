"""Malicious uploads sent to a real server: each is rejected with a message, and the session still works."""

import asyncio
import io
import re
import struct
import sys
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from app_server import started
from PIL import Image

from fer.app.settings import MAX_SESSION_FILES
from fer.data.synthetic.samples import SAMPLES, render_sample

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from load_app import Visitor  # noqa: E402

PATH = re.compile(r"(?:/(?:usr|root|tmp|home|opt|var|work)/|site-packages|Traceback|File \")")


def encode(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def png_bomb(width, height):
    """Return a PNG of a few kilobytes that decodes to gigabytes."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    compressor = zlib.compressobj(9)
    row = b"\0" * (width + 1)
    compressed = b"".join(compressor.compress(row) for _ in range(min(height, 2000))) + compressor.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


FACE = render_sample(SAMPLES[0])
JPEG = encode(FACE)
SCRIPT = b"<script>document.title='executed'</script>"
HOSTILE = {
    "bomb.png": (png_bomb(30_000, 30_000), "megapixels"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "damaged or cut off"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "an SVG drawing"),
    "page.png": (b"<!DOCTYPE html><html>" + SCRIPT + b"</html>", "a web page"),
    "archive.png": (b"PK\x03\x04" + b"\0" * 100, "a ZIP archive"),
    "empty.png": (b"", "empty file"),
    "noise.png": (bytes(range(256)) * 8, "unknown kind of file"),
    "dot.png": (encode(FACE[:1, :1], "PNG"), "at least"),
    "line.png": (encode(np.zeros((1, 20_000, 3), np.uint8), "PNG"), "at least"),
    "../../etc/passwd.png": (b"root:x:0:0", "passwd"),
    "<img src=x onerror=alert(1)>.png": (b"x", "onerror"),
    "heavy.jpg": (JPEG + b"\0" * (30 << 20), "at most 25 MB, got 30 MB"),
}  # fmt: skip


def run(coroutine):
    """Run a coroutine in another thread: Playwright's event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def send(url, *files):
    """Send files in one session; return the texts of the page after each."""

    async def visit():
        replies = []
        async with Visitor(url) as visitor:
            for name, content in files:
                await visitor.upload(name, content)
                replies.append(visitor.texts)
        return replies

    return run(visit())


def has_prediction(texts):
    return any("Probability of each emotion" in text for text in texts)


@pytest.fixture(scope="module")
def server():
    with started() as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def url(server):
    return server[0]


@pytest.fixture(scope="module")
def replies(url):
    """The page's texts for all hostile files, each followed by a valid one, in one session."""
    files = [(name, content) for name, (content, _) in HOSTILE.items()]
    valid = ("face.jpg", JPEG)
    texts = send(url, *(file for hostile in files for file in (hostile, valid)))
    return dict(zip(HOSTILE, zip(texts[::2], texts[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_rejected_and_the_session_still_works(replies, name):
    rejection, after = replies[name]
    assert not has_prediction(rejection)
    assert HOSTILE[name][1] in " ".join(rejection).replace("\\", "")
    assert has_prediction(after)


@pytest.mark.parametrize("name", HOSTILE)
def test_messages_contain_no_path_of_the_server(replies, name):
    assert not [text for text in replies[name][0] if PATH.search(text)]


def test_a_suffix_that_the_page_does_not_accept_is_dropped(url):
    """A script that sends such a file gets an empty page; other visitors are not affected."""
    (page,) = send(url, ("page.html", b"<html>" + SCRIPT))
    assert not has_prediction(page)
    assert "executed" not in " ".join(page)
    assert has_prediction(send(url, ("face.jpg", JPEG))[0])


def test_file_names_are_escaped_and_have_no_folders(replies):
    markup = " ".join(replies["<img src=x onerror=alert(1)>.png"][0])
    # Escaped for Markdown.
    assert "\\<img" in markup
    assert "<img" not in markup.replace("\\<img", "")
    assert ".." not in " ".join(replies["../../etc/passwd.png"][0]).replace("…", "")


def test_a_polyglot_is_treated_as_an_image_only(url):
    """A JPEG followed by a web page and an archive: the image is analysed, the rest is ignored."""
    (texts,) = send(url, ("both.jpg", JPEG + b"<html>" + SCRIPT + b"</html>PK\x03\x04"))
    assert has_prediction(texts)
    assert "executed" not in " ".join(texts)


def test_a_file_beyond_the_size_limit_is_rejected_by_the_server(url):
    async def visit():
        async with Visitor(url) as visitor:
            # Status 413, or a closed connection.
            with pytest.raises(urllib.error.URLError):
                await visitor.upload("big.png", b"\x89PNG" + b"\0" * (51 << 20))
            await visitor.upload("face.jpg", JPEG)
            return visitor.texts

    assert has_prediction(run(visit()))


def test_too_many_files_are_rejected(url):
    """A session that requests too many upload URLs is rejected until it deletes a file."""

    async def visit():
        async with Visitor(url) as visitor:
            urls = [await visitor._request_upload_url("a.jpg") for _ in range(MAX_SESSION_FILES + 1)]
            for url_ in urls[:-1]:
                visitor._put(url_.upload_url, "a.jpg", b"x")
            with pytest.raises(urllib.error.HTTPError, match="413"):
                visitor._put(urls[-1].upload_url, "a.jpg", b"x")
            visitor._request(urls[0].delete_url, "DELETE")
            visitor._put(urls[-1].upload_url, "a.jpg", b"x")

    run(visit())
    assert has_prediction(send(url, ("face.jpg", JPEG))[0])


def test_another_site_cannot_send_files(url):
    """A PUT request without the page's XSRF token is rejected."""
    request = urllib.request.Request(f"{url}/_stcore/upload_file/a/b", b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc (Linux)")
def test_memory_is_freed(server):
    """Five bombs and an image of the maximal size; a leak of one such image would be 150 MB."""
    url, process = server
    largest = cv2.imencode(".jpg", np.zeros((7000, 7000, 3), np.uint8))[1].tobytes()
    send(url, ("face.jpg", JPEG), ("large.jpg", largest), ("face.jpg", JPEG))
    before = resident_mb(process.pid)
    bomb = ("bomb.png", HOSTILE["bomb.png"][0])
    send(url, *[bomb] * 5, *[("large.jpg", largest)] * 2, ("face.jpg", JPEG))
    assert resident_mb(process.pid) < before + 100


def resident_mb(pid):
    """Return the resident memory of a process in MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024
