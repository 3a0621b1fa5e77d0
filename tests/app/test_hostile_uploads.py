"""Files of people who mean harm, sent to a real server: refused in words; the next picture is answered."""

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
from PIL import Image
from serving_app import started

from fer.app.gallery import SAMPLES, draw_sample
from fer.app.limits import MAX_SESSION_FILES

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from send_to_app import Visitor  # noqa: E402

PATH = re.compile(r"(?:/(?:usr|root|tmp|home|opt|var|work)/|site-packages|Traceback|File \")")


def as_file(picture, kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_zeros(width, height):
    """A PNG of a few kilobytes that unpacks to gigabytes."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    row = b"\0" * (width + 1)
    packed = b"".join(packer.compress(row) for _ in range(min(height, 2000))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


FACE = draw_sample(SAMPLES[0])
JPEG = as_file(FACE)
SCRIPT = b"<script>document.title='taken'</script>"
HOSTILE = {
    "bomb.png": (png_of_zeros(30_000, 30_000), "megapixels"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "damaged or cut off"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "an SVG drawing"),
    "page.png": (b"<!DOCTYPE html><html>" + SCRIPT + b"</html>", "a web page"),
    "archive.png": (b"PK\x03\x04" + b"\0" * 100, "a ZIP archive"),
    "empty.png": (b"", "empty file"),
    "noise.png": (bytes(range(256)) * 8, "something else"),
    "dot.png": (as_file(FACE[:1, :1], "PNG"), "at least"),
    "line.png": (as_file(np.zeros((1, 20_000, 3), np.uint8), "PNG"), "at least"),
    "../../etc/passwd.png": (b"root:x:0:0", "passwd"),
    "<img src=x onerror=alert(1)>.png": (b"x", "onerror"),
    "heavy.jpg": (JPEG + b"\0" * (30 << 20), "at most 25 MB, got one of 30 MB"),
}  # fmt: skip


def run(coroutine):
    """Run it in a thread of its own: Playwright's loop may already run in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def send(url, *files):
    """Send files in one session; return what the page said to each."""

    async def visit():
        said = []
        async with Visitor(url) as visitor:
            for name, content in files:
                await visitor.upload(name, content)
                said.append(visitor.texts)
        return said

    return run(visit())


def is_answered(texts):
    return any("How probable each emotion is" in text for text in texts)


@pytest.fixture(scope="module")
def server():
    with started() as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def url(server):
    return server[0]


@pytest.fixture(scope="module")
def said(url):
    """What one session was told of all hostile files, each followed by a good one."""
    files = [(name, content) for name, (content, _) in HOSTILE.items()]
    good = ("face.jpg", JPEG)
    told = send(url, *(file for bad in files for file in (bad, good)))
    return dict(zip(HOSTILE, zip(told[::2], told[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_words_and_the_session_lives(said, name):
    refusal, after = said[name]
    assert not is_answered(refusal)
    assert HOSTILE[name][1] in " ".join(refusal).replace("\\", "")
    assert is_answered(after)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_path_of_the_server_is_told(said, name):
    assert not [text for text in said[name][0] if PATH.search(text)]


def test_a_kind_that_the_page_does_not_take_is_dropped(url):
    """No browser sends it; who does all the same gets an empty page, and others do not notice."""
    (page,) = send(url, ("page.html", b"<html>" + SCRIPT))
    assert not is_answered(page)
    assert "taken" not in " ".join(page)
    assert is_answered(send(url, ("face.jpg", JPEG))[0])


def test_a_name_cannot_be_markup_or_a_path(said):
    markup = " ".join(said["<img src=x onerror=alert(1)>.png"][0])
    assert "\\<img" in markup  # as Markdown shows it
    assert "<img" not in markup.replace("\\<img", "")
    assert ".." not in " ".join(said["../../etc/passwd.png"][0]).replace("…", "")


def test_a_polyglot_is_a_picture_and_nothing_else(url):
    """A JPEG with a web page and an archive behind it: the picture is judged, the rest never shown."""
    (texts,) = send(url, ("both.jpg", JPEG + b"<html>" + SCRIPT + b"</html>PK\x03\x04"))
    assert is_answered(texts)
    assert "taken" not in " ".join(texts)


def test_a_file_beyond_the_limit_is_not_even_taken(url):
    async def visit():
        async with Visitor(url) as visitor:
            with pytest.raises(urllib.error.URLError):  # 413, or the line is cut
                await visitor.upload("big.png", b"\x89PNG" + b"\0" * (51 << 20))
            await visitor.upload("face.jpg", JPEG)
            return visitor.texts

    assert is_answered(run(visit()))


def test_too_many_files_are_not_kept(url):
    """Who asks for more places than the page would is refused, until he takes some files back."""

    async def visit():
        async with Visitor(url) as visitor:
            places = [await visitor._ask_for_place("a.jpg") for _ in range(MAX_SESSION_FILES + 1)]
            for place in places[:-1]:
                visitor._put(place.upload_url, "a.jpg", b"x")
            with pytest.raises(urllib.error.HTTPError, match="413"):
                visitor._put(places[-1].upload_url, "a.jpg", b"x")
            visitor._request(places[0].delete_url, "DELETE")
            visitor._put(places[-1].upload_url, "a.jpg", b"x")

    run(visit())
    assert is_answered(send(url, ("face.jpg", JPEG))[0])


def test_another_site_cannot_send_files(url):
    """Without the token of the page, a PUT is refused: XSRF protection is on."""
    call = urllib.request.Request(f"{url}/_stcore/upload_file/a/b", b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(call, timeout=10)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc (Linux)")
def test_memory_comes_back(server):
    """Five bombs and a picture as large as may be; a leak of one such picture would be 150 MB."""
    url, process = server
    largest = cv2.imencode(".jpg", np.zeros((7000, 7000, 3), np.uint8))[1].tobytes()
    send(url, ("face.jpg", JPEG), ("large.jpg", largest), ("face.jpg", JPEG))
    before = resident(process.pid)
    bomb = ("bomb.png", HOSTILE["bomb.png"][0])
    send(url, *[bomb] * 5, *[("large.jpg", largest)] * 2, ("face.jpg", JPEG))
    assert resident(process.pid) < before + 100


def resident(pid):
    """Resident memory of a process in MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024
