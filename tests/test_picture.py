"""What comes in: every kind of picture as the same pixels, everything else as one clear message."""

import os
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer.errors import FerError
from fer.jpeg import count_scans
from fer.picture import open_picture, picture_files

RNG = np.random.default_rng(0)
COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [90, 60, 30]], np.uint8
)
FLAT = COLOURS.reshape(2, 3, 3).repeat(16, 0).repeat(16, 1)  # red first; 32 x 48
SMOOTH = np.linspace(0, 255, 40 * 56 * 3).reshape(40, 56, 3).astype(np.uint8)


def content(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
            ("WEBP", {"lossless": True}), ("PPM", {}), ("GIF", {})]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_formats_give_the_pixels_red_first(kind, options, tmp_path):
    path = tmp_path / "face.bin"
    path.write_bytes(content(Image.fromarray(FLAT), kind, **options))
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        picture = open_picture(source)
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        np.testing.assert_array_equal(picture, FLAT)


def test_jpeg_is_near():
    near = open_picture(content(Image.fromarray(FLAT), "JPEG", quality=95, subsampling=0))
    assert np.abs(near.astype(int) - FLAT).mean() < 3


def test_cmyk_jpeg_keeps_light_and_dark():
    near = open_picture(content(Image.fromarray(FLAT).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(near.astype(int) - FLAT).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_turned_as_pillow_turns(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = content(Image.fromarray(SMOOTH), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape[:2] == ((40, 56) if orientation < 5 else (56, 40))
    np.testing.assert_array_equal(open_picture(data), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_orientation_is_none():
    data = bytearray(content(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert open_picture(bytes(data)).shape == SMOOTH.shape


GRAY = SMOOTH[..., 0]
WIDE = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits(kind):
    picture = open_picture(content(Image.fromarray(WIDE), kind))
    np.testing.assert_array_equal(picture, np.repeat((WIDE // 256).astype(np.uint8)[..., None], 3, 2))


def test_bits_and_gray():
    np.testing.assert_array_equal(open_picture(content(Image.fromarray(GRAY), "PNG"))[..., 2], GRAY)
    bits = Image.fromarray(GRAY > 99)
    np.testing.assert_array_equal(open_picture(content(bits, "PNG"))[..., 1], 255 * (GRAY > 99))


@pytest.mark.parametrize(
    "make", [lambda gray: gray.convert("I"), lambda gray: Image.fromarray(np.asarray(gray, np.int32))]
)
def test_thirty_two_bits_of_eight(make):
    gray = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    np.testing.assert_array_equal(open_picture(make(gray)), open_picture(gray))
    np.testing.assert_array_equal(open_picture(content(make(gray), "TIFF")), open_picture(gray))


def test_what_is_transparent_is_white():
    opacity = RNG.integers(0, 256, FLAT.shape[:2]).astype(np.uint8)
    opacity[0, :2] = 0, 255
    seen = Image.fromarray(np.dstack([FLAT, opacity]))
    page = Image.new("RGBA", seen.size, "white")
    page.alpha_composite(seen)
    picture = open_picture(content(seen, "PNG"))
    np.testing.assert_allclose(picture.astype(int), np.asarray(page.convert("RGB")), atol=1)
    np.testing.assert_array_equal(picture[0, :2], [[255, 255, 255], [255, 0, 0]])


def test_transparent_palette_is_white():
    image = Image.fromarray(FLAT).quantize(6)
    image.info["transparency"] = image.getpixel((0, 0))
    picture = open_picture(content(image, "PNG", transparency=image.getpixel((0, 0))))
    np.testing.assert_array_equal(picture[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(picture[0, 20], [0, 255, 0])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_picture_of_several(kind):
    frames = [Image.fromarray(np.full((20, 20, 3), value, np.uint8)) for value in (0, 255)]
    data = content(frames[0], kind, save_all=True, append_images=frames[1:])
    assert open_picture(data).max() < 8


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays(shape, dtype):
    array = RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    if array.ndim == 3 and array.shape[2] == 4:
        array[..., 3] = np.iinfo(dtype).max
    expected = array if dtype == np.uint8 else array // 256
    expected = expected.reshape(20, 30, -1)[..., :3]
    np.testing.assert_array_equal(open_picture(array), np.broadcast_to(expected, (20, 30, 3)))


def test_views_become_contiguous():
    mirrored = SMOOTH[:, ::-1, ::-1]
    picture = open_picture(mirrored)
    assert picture.flags.c_contiguous
    np.testing.assert_array_equal(picture, mirrored)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_odd_sizes(size):
    assert open_picture(content(Image.new("RGB", size, "red"), "PNG")).shape == (size[1], size[0], 3)


REFUSED = {
    "floats": (np.ones((4, 4, 3)), "uint8"),
    "integers": (np.ones((4, 4, 3), np.int64), "uint8"),
    "two channels": (np.ones((4, 4, 2), np.uint8), "(4, 4, 2)"),
    "many pictures": (np.ones((2, 4, 4, 3), np.uint8), "one picture"),
    "no pixels": (np.ones((0, 4, 3), np.uint8), "4 x 0"),
    "large array": (np.broadcast_to(np.uint8(0), (10_000, 10_000)), "megapixels"),
    "a number": (7, "got int"),
    "address": ("https://example.org/face.jpg", "web address"),
    "data address": ("data:image/png;base64,AAAA", "web address"),
    "nothing": (b"", "empty"),
    "noise": (bytes(range(200)), "something else"),
    "page": (b"<!DOCTYPE html><html>sorry</html>", "web page"),
    "drawing": (b'<?xml version="1.0"?>\n<svg xmlns="x"></svg>', "SVG"),
    "drawing with comments": (b"<!-- a -->\n<!-- b --><svg></svg>", "SVG"),
    "comments without end": (b"<!---->" * 140, "something else"),  # no pattern may take years over it
    "document": (b"%PDF-1.7 ...", "PDF"),
    "phone": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
    "film": (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
    "absent": ("no/such/face.jpg", "no such file"),
    "NUL": ("face\0.jpg", "null"),
    "floating TIFF": (content(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floats"),
    "32 bits": (content(Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), "TIFF"), "32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    source, words = REFUSED[case]
    with pytest.raises(FerError) as caught:
        open_picture(source)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def with_scans(picture, number):
    """Repeat the last scan of a progressive JPEG: legal, and each costs a pass over the picture."""
    last = picture.rindex(b"\xff\xda")
    return picture[:-2] + picture[last:-2] * number + picture[-2:]


def test_scans_of_a_jpeg_are_counted():
    plain = Image.fromarray(SMOOTH)
    progressive = content(plain, "JPEG", progressive=True)
    assert count_scans(content(plain, "JPEG")) == 1
    assert count_scans(content(plain, "JPEG", restart_marker_blocks=1)) == 1
    usual = count_scans(progressive)
    assert 6 < usual < 15
    assert count_scans(with_scans(progressive, 30)) == usual + 30
    behind = progressive + b"\xff\xda\x00\x08" * 500  # as of a film that a telephone hangs on
    assert count_scans(behind) == usual
    noted = content(plain, "JPEG", comment=b"\xff\xda" * 300)
    assert count_scans(noted) == 1
    assert open_picture(noted).shape == SMOOTH.shape


def test_a_jpeg_made_to_keep_a_decoder_busy_is_refused():
    picture = content(Image.fromarray(SMOOTH), "JPEG", progressive=True)
    with pytest.raises(FerError, match=r"a JPEG of [\d,]+ scans"):
        open_picture(with_scans(picture, 300))
    assert open_picture(with_scans(picture, 20)).shape == SMOOTH.shape


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads anything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    Image.fromarray(SMOOTH).save(tmp_path / "a.png")
    with pytest.raises(FerError, match="closed: this folder cannot be read"):
        picture_files(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_cut_off_anywhere_is_refused_or_whole(kind):
    """Half a face must not be taken for a face."""
    whole = content(Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)), kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(FerError):
            open_picture(whole[: int(len(whole) * share)])


def chunk(name, body):
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@pytest.mark.parametrize("side", [7_100, 12_000, 50_000, 2**31 - 1])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, tmp_path):
    """The body is of 300 megabytes of zeros; were it decoded, that would take seconds."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(50_000_000))
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    start = time.process_time()
    with pytest.raises(FerError, match="50 megapixels"):
        open_picture(path)
    assert time.process_time() - start < 0.5


def test_threads_leave_the_filters_of_warnings_as_they_were():
    before, picture = list(warnings.filters), content(Image.new("L", (8, 8)), "PNG")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_picture, [picture] * 400))
    assert list(warnings.filters) == before


def test_pillows_own_hint_about_size_stays_off_the_screen(recwarn):
    file = BytesIO()
    Image.new("1", (10_000, 9_500)).save(file, "PNG")
    with pytest.raises(FerError, match="megapixels"):
        open_picture(file.getvalue())
    assert not recwarn.list
