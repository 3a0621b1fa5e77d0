"""Files of strangers: hostile ones are refused in a sentence that gives nothing away."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fer.app.intake import escaped, plain_name, read_upload
from fer.app.safety import without_folders
from fer.errors import FerError


def png(width=32, height=32):
    content = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 120, np.uint8)).save(content, "PNG")
    return content.getvalue()


def bomb():
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_picture_is_read():
    assert read_upload("a.png", png(40, 20)).shape == (20, 40, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (bomb(), "at most 50 megapixels"),
        (png()[:60], "damaged or cut off"),
        (b"<svg onload='alert(1)'/>", "an SVG drawing"),
        (b"<html><script>alert(1)</script>", "a web page"),
        (png(1, 1), "no room for a face"),
        (png(20_000, 1), "no room for a face"),
        (b"\x00" * 100, "something else"),
    ],
)
def test_what_is_no_picture_of_a_face_is_refused_by_its_bare_name(content, words):
    with pytest.raises(FerError, match=words) as caught:
        read_upload("../../etc/C:\\secret\\me.png", content)
    assert str(caught.value).startswith("me.png: expected") or "me.png: this picture" in str(caught.value)
    assert "bytes:" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("a\x00\x1b[31m\u202egnp.exe\n", "a[31mgnp.exe"),
        ("/", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_name_is_cut_to_its_last_part(name, plain):
    assert plain_name(name) == plain


def test_a_long_name_keeps_its_ends():
    name = plain_name("a" * 300 + ".jpeg")
    assert len(name) == 60
    assert name.startswith("aaa")
    assert name.endswith(".jpeg")


def test_markup_in_a_name_stays_text():
    assert escaped("<b>[x](http://y)*") == r"\<b\>\[x\](http\://y)\*"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("/srv/models/a/1/card.json: it is damaged", "card.json: it is damaged"),
        ("models/a: '/opt/x/y.onnx' and ~/m.onnx", "models/a: 'y.onnx' and m.onnx"),
        (
            "a picture (PNG/JPEG), 3/4 of http://localhost:8501/x",
            "a picture (PNG/JPEG), 3/4 of http://localhost:8501/x",
        ),
    ],
)
def test_folders_of_the_server_are_left_out(told, shown):
    assert without_folders(told) == shown
