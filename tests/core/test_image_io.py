"""Image input: every format gives the same pixels, everything else one clear error."""

import os
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer.core import image_io
from fer.core.errors import FerError
from fer.core.image_io import count_frames, count_scans, read_image
from fer.predict.sources import list_image_files

RNG = np.random.default_rng(0)
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [90, 60, 30]], np.uint8)
# Squares of one color, RGB, 32 x 48.
FLAT = COLORS.reshape(2, 3, 3).repeat(16, 0).repeat(16, 1)
SMOOTH = np.linspace(0, 255, 40 * 56 * 3).reshape(40, 56, 3).astype(np.uint8)


def encode(image, kind, **options):
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
            ("WEBP", {"lossless": True}), ("PPM", {}), ("GIF", {})]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_formats_give_exact_rgb_pixels(kind, options, tmp_path):
    path = tmp_path / "face.bin"
    path.write_bytes(encode(Image.fromarray(FLAT), kind, **options))
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image, FLAT)


def test_jpeg_is_close():
    near = read_image(encode(Image.fromarray(FLAT), "JPEG", quality=95, subsampling=0))
    assert np.abs(near.astype(int) - FLAT).mean() < 3


def test_cmyk_jpeg_is_close():
    near = read_image(encode(Image.fromarray(FLAT).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(near.astype(int) - FLAT).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation_is_applied_as_in_pillow(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(SMOOTH), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape[:2] == ((40, 56) if orientation < 5 else (56, 40))
    np.testing.assert_array_equal(read_image(data), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_ignored():
    data = bytearray(encode(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert read_image(bytes(data)).shape == SMOOTH.shape


GRAY = SMOOTH[..., 0]
GRAY_16_BITS = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits(kind):
    image = read_image(encode(Image.fromarray(GRAY_16_BITS), kind))
    np.testing.assert_array_equal(image, np.repeat((GRAY_16_BITS // 256).astype(np.uint8)[..., None], 3, 2))


def test_bilevel_and_gray():
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(GRAY), "PNG"))[..., 2], GRAY)
    bits = Image.fromarray(GRAY > 99)
    np.testing.assert_array_equal(read_image(encode(bits, "PNG"))[..., 1], 255 * (GRAY > 99))


@pytest.mark.parametrize(
    "make", [lambda gray: gray.convert("I"), lambda gray: Image.fromarray(np.asarray(gray, np.int32))]
)
def test_32_bit_images_with_8_bit_values(make):
    gray = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    np.testing.assert_array_equal(read_image(make(gray)), read_image(gray))
    np.testing.assert_array_equal(read_image(encode(make(gray), "TIFF")), read_image(gray))


def test_transparent_pixels_are_white():
    opacity = RNG.integers(0, 256, FLAT.shape[:2]).astype(np.uint8)
    opacity[0, :2] = 0, 255
    transparent = Image.fromarray(np.dstack([FLAT, opacity]))
    page = Image.new("RGBA", transparent.size, "white")
    page.alpha_composite(transparent)
    image = read_image(encode(transparent, "PNG"))
    np.testing.assert_allclose(image.astype(int), np.asarray(page.convert("RGB")), atol=1)
    np.testing.assert_array_equal(image[0, :2], [[255, 255, 255], [255, 0, 0]])


def test_transparent_palette_is_white():
    image = Image.fromarray(FLAT).quantize(6)
    image.info["transparency"] = image.getpixel((0, 0))
    image = read_image(encode(image, "PNG", transparency=image.getpixel((0, 0))))
    np.testing.assert_array_equal(image[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(image[0, 20], [0, 255, 0])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_of_several_frames(kind):
    frames = [Image.fromarray(np.full((20, 20, 3), value, np.uint8)) for value in (0, 255)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert read_image(data).max() < 8


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays(shape, dtype):
    array = RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    if array.ndim == 3 and array.shape[2] == 4:
        array[..., 3] = np.iinfo(dtype).max
    expected = array if dtype == np.uint8 else array // 256
    expected = expected.reshape(20, 30, -1)[..., :3]
    np.testing.assert_array_equal(read_image(array), np.broadcast_to(expected, (20, 30, 3)))


def test_views_become_contiguous():
    mirrored = SMOOTH[:, ::-1, ::-1]
    image = read_image(mirrored)
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, mirrored)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_extreme_sizes(size):
    assert read_image(encode(Image.new("RGB", size, "red"), "PNG")).shape == (size[1], size[0], 3)


REFUSED = {
    "floats": (np.ones((4, 4, 3)), "uint8"),
    "integers": (np.ones((4, 4, 3), np.int64), "uint8"),
    "two channels": (np.ones((4, 4, 2), np.uint8), "(4, 4, 2)"),
    "many images": (np.ones((2, 4, 4, 3), np.uint8), "one image"),
    "no pixels": (np.ones((0, 4, 3), np.uint8), "4 x 0"),
    "large array": (np.broadcast_to(np.uint8(0), (10_000, 10_000)), "megapixels"),
    "a number": (7, "got int"),
    "address": ("https://example.org/face.jpg", "web address"),
    "data address": ("data:image/png;base64,AAAA", "web address"),
    "nothing": (b"", "empty"),
    "noise": (bytes(range(200)), "unknown kind of file"),
    "web page": (b"<!DOCTYPE html><html>sorry</html>", "web page"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="x"></svg>', "SVG"),
    "svg with comments": (b"<!-- a -->\n<!-- b --><svg></svg>", "SVG"),
    # The pattern must not backtrack exponentially.
    "comments without end": (b"<!---->" * 140, "unknown kind of file"),
    "document": (b"%PDF-1.7 ...", "PDF"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
    "missing": ("no/such/face.jpg", "no such file"),
    "NUL": ("face\0.jpg", "null"),
    "floating TIFF": (encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "float values"),
    "32 bits": (encode(Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), "TIFF"), "32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_error_is_one_line(case):
    source, message = REFUSED[case]
    with pytest.raises(FerError) as caught:
        read_image(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heic_is_read_and_not_turned_by_exif(tmp_path):
    """HEIC has its own orientation, which the decoder applies; that of EXIF must not be applied again."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    pixels = np.full((64, 96, 3), 40, np.uint8)
    pixels[:32, :48] = (220, 60, 60)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    pillow_heif.register_heif_opener()
    image.save(tmp_path / "phone.heic", exif=exif, quality=95)
    read = read_image(tmp_path / "phone.heic")
    assert read.shape == pixels.shape
    assert np.abs(read.astype(int) - pixels).mean() < 4
    with pytest.raises(FerError, match="damaged"):
        read_image((tmp_path / "phone.heic").read_bytes()[:200])


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(image_io, "_HAS_HEIC", False)
    with pytest.raises(FerError, match=r"got a HEIC image\. pip install 'fer-lightning\[heic\]' reads it"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0")


def test_a_damaged_avif_image_is_named():
    content = encode(Image.fromarray(SMOOTH), "AVIF")
    with pytest.raises(FerError, match=r"got a damaged AVIF image\. Save or download it again"):
        read_image(content[: len(content) // 2])


def with_scans(image, count):
    """Repeat the last scan of a progressive JPEG: valid, and each costs a pass over the image."""
    last = image.rindex(b"\xff\xda")
    return image[:-2] + image[last:-2] * count + image[-2:]


def test_count_scans():
    plain = Image.fromarray(SMOOTH)
    progressive = encode(plain, "JPEG", progressive=True)
    assert count_scans(encode(plain, "JPEG")) == 1
    assert count_scans(encode(plain, "JPEG", restart_marker_blocks=1)) == 1
    num_scans = count_scans(progressive)
    assert 6 < num_scans < 15
    assert count_scans(with_scans(progressive, 30)) == num_scans + 30
    # Phones append data to a JPEG, such as a video.
    appended = progressive + b"\xff\xda\x00\x08" * 500
    assert count_scans(appended) == num_scans
    commented = encode(plain, "JPEG", comment=b"\xff\xda" * 300)
    assert count_scans(commented) == 1
    assert read_image(commented).shape == SMOOTH.shape


def test_a_jpeg_with_too_many_scans_is_refused():
    image = encode(Image.fromarray(SMOOTH), "JPEG", progressive=True)
    with pytest.raises(FerError, match=r"a JPEG of [\d,]+ scans"):
        read_image(with_scans(image, 300))
    assert read_image(with_scans(image, 20)).shape == SMOOTH.shape


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads anything")
def test_an_unreadable_folder_is_an_error(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    Image.fromarray(SMOOTH).save(tmp_path / "a.png")
    with pytest.raises(FerError, match="closed: this folder cannot be read"):
        list_image_files(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_truncated_files_are_refused(kind):
    """Half an image must not be accepted."""
    complete = encode(Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)), kind)
    for fraction in (0.3, 0.6, 0.9):
        with pytest.raises(FerError):
            read_image(complete[: int(len(complete) * fraction)])


def chunk(name, body):
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@pytest.mark.parametrize("side", [7_100, 12_000, 50_000, 2**31 - 1])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, tmp_path):
    """The body has 50 megabytes of zeros. Decoding it would take seconds."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(50_000_000))
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    start = time.process_time()
    with pytest.raises(FerError, match="50 megapixels"):
        read_image(path)
    assert time.process_time() - start < 0.5


def test_threads_do_not_change_the_warning_filters():
    before, image = list(warnings.filters), encode(Image.new("L", (8, 8)), "PNG")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read_image, [image] * 400))
    assert list(warnings.filters) == before


@pytest.mark.parametrize(("side", "size"), [(9_700, "9,700 x 9,700"), (20_000, "400,000,000")])
def test_pillows_size_warning_is_suppressed(side, size, recwarn):
    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(FerError, match=f"at most 50 megapixels, got {size} pixels"):
        read_image(content)
    assert count_frames(BytesIO(content)) == 1
    assert not recwarn.list
