"""Files of strangers: hostile ones are refused in a sentence that gives nothing away."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer.app.intake import escaped, plain_name, read_upload
from fer.app.limits import MAX_PICTURE_MB
from fer.app.safety import without_folders
from fer.app.settings import Settings, use
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


def test_a_file_of_too_many_megabytes_is_refused_unread():
    content = png()
    read_upload("a.png", content + bytes((MAX_PICTURE_MB << 20) - len(content)))
    with pytest.raises(FerError, match=r"^a\.png: expected a picture of at most 25 MB, got one of 30 MB"):
        read_upload("a.png", content + bytes(30 << 20))


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
        ("models/a: '/opt/x/y.onnx' and ~/m.onnx", "a: 'y.onnx' and m.onnx"),
        ("models/smile/2/model.onnx: it is damaged", "model.onnx: it is damaged"),
        ("expected (see:/srv/x/y.onnx)", "expected (see:y.onnx)"),
        ("got:/srv/x/y.onnx, wss://host/x", "got:y.onnx, wss://host/x"),
        ("C:\\Users\\ann\\m.onnx: damaged, 'D:/x/n.onnx' too", "m.onnx: damaged, 'n.onnx' too"),
        (r"\\files\models\x\m.onnx: damaged", "m.onnx: damaged"),
        (
            "a picture (PNG/JPEG), 3/4 of http://localhost:8501/x",
            "a picture (PNG/JPEG), 3/4 of http://localhost:8501/x",
        ),
    ],
)
def test_folders_of_the_server_are_left_out(told, shown):
    assert without_folders(told) == shown


@pytest.mark.parametrize(
    ("told", "shown"),
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
def test_folders_that_the_app_was_started_with_are_known_as_they_are(told, shown):
    models, detector = Path("/srv/Ann Lee/models"), "/opt/my files/yunet.onnx"
    use(Settings(model="RUN/bundle", models=models, detector_model=detector))
    assert without_folders(told) == shown


def test_the_folder_that_the_app_was_started_in_is_left_out(tmp_path, monkeypatch):
    place = tmp_path / "of Ann Lee"
    place.mkdir()
    monkeypatch.chdir(place)
    assert without_folders(f"{place}/x/m.onnx: damaged") == "m.onnx: damaged"
