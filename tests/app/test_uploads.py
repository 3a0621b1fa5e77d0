"""Untrusted uploads: invalid images, file names, and paths in messages."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer.app.settings import MAX_IMAGE_MB, Settings, set_settings
from fer.app.uploads import display_name, escape_markdown, read_upload, strip_folders
from fer.core.errors import FerError


def png(width=32, height=32):
    content = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 120, np.uint8)).save(content, "PNG")
    return content.getvalue()


def bomb():
    """Return a PNG of 60,000 x 60,000 pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_image_is_read():
    assert read_upload("a.png", png(40, 20)).shape == (20, 40, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (bomb(), "at most 50 megapixels"),
        (png()[:60], "damaged or cut off"),
        (b"<svg onload='alert(1)'/>", "an SVG drawing"),
        (b"<html><script>alert(1)</script>", "a web page"),
        (png(1, 1), "too small to contain a face"),
        (png(20_000, 1), "too small to contain a face"),
        (b"\x00" * 100, "unknown kind of file"),
    ],
)
def test_an_invalid_image_is_rejected_with_its_bare_file_name(content, message):
    with pytest.raises(FerError, match=message) as caught:
        read_upload("../../etc/C:\\secret\\me.png", content)
    assert str(caught.value).startswith("me.png: expected") or "me.png: the image is" in str(caught.value)
    assert "bytes:" not in str(caught.value)


def test_a_file_of_too_many_megabytes_is_rejected():
    content = png()
    read_upload("a.png", content + bytes((MAX_IMAGE_MB << 20) - len(content)))
    with pytest.raises(FerError, match=r"^a\.png: expected an image of at most 25 MB, got 30 MB"):
        read_upload("a.png", content + bytes(30 << 20))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("a\x00\x1b[31m\u202egnp.exe\n", "a[31mgnp.exe"),
        ("/", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_file_name_is_reduced_to_its_last_part(name, expected):
    assert display_name(name) == expected


def test_a_long_file_name_keeps_its_start_and_end():
    name = display_name("a" * 300 + ".jpeg")
    assert len(name) == 60
    assert name.startswith("aaa")
    assert name.endswith(".jpeg")


def test_markup_is_escaped():
    assert escape_markdown("<b>[x](http://y)*") == r"\<b\>\[x\](http\://y)\*"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("/srv/models/a/1/card.json: it is damaged", "card.json: it is damaged"),
        ("models/a: '/opt/x/y.onnx' and ~/m.onnx", "a: 'y.onnx' and m.onnx"),
        ("models/smile/2/model.onnx: it is damaged", "model.onnx: it is damaged"),
        ("expected (see:/srv/x/y.onnx)", "expected (see:y.onnx)"),
        ("got:/srv/x/y.onnx, wss://host/x", "got:y.onnx, wss://host/x"),
        ("C:\\Users\\ann\\m.onnx: damaged, 'D:/x/n.onnx' too", "m.onnx: damaged, 'n.onnx' too"),
        (r"\\files\models\x\m.onnx: damaged", "m.onnx: damaged"),
        (
            "an image (PNG/JPEG), 3/4 of http://localhost:8501/x",
            "an image (PNG/JPEG), 3/4 of http://localhost:8501/x",
        ),
    ],
)
def test_folders_are_removed_from_messages(message, expected):
    assert strip_folders(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("/srv/Ann Lee/models/x/2/model.onnx: damaged", "model.onnx: damaged"),
        ("got:/srv/Ann Lee/models/x", "got:x"),
        ("/srv/Ann Lee/models: no model 'a'", "models: no model 'a'"),
        ("RUN/bundle/card.json: damaged", "card.json: damaged"),
        ("RUN/bundle: expected a bundle", "bundle: expected a bundle"),
        ("/opt/my files/yunet.onnx: damaged", "yunet.onnx: damaged"),
        ("THE RUN/bundles, and models", "THE RUN/bundles, and models"),
    ],
)
def test_folders_of_the_settings_are_removed_literally(message, expected):
    models, detector = Path("/srv/Ann Lee/models"), "/opt/my files/yunet.onnx"
    set_settings(Settings(model="RUN/bundle", models=models, detector_model=detector))
    assert strip_folders(message) == expected


def test_the_working_folder_is_removed(tmp_path, monkeypatch):
    folder = tmp_path / "of Ann Lee"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert strip_folders(f"{folder}/x/m.onnx: damaged") == "m.onnx: damaged"
