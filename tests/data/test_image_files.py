"""Decoding of image files, and lists of files."""

import cv2
import numpy as np
import pytest
from image_layouts import faces, save
from PIL import Image

from fer.core.errors import FerError
from fer.core.image_io import read_image
from fer.data.file_list import FileList, list_files
from fer.data.image_files import ImageFiles, decode


def read_bytes(path):
    return np.fromfile(path, np.uint8)


@pytest.fixture
def face():
    return faces()[0].images[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".avif"])
def test_decoding_equals_pillow(tmp_path, face, suffix):
    save(tmp_path / f"a{suffix}", face)
    expected = np.asarray(Image.open(tmp_path / f"a{suffix}").convert("RGB")).astype(int)
    # Decoders of lossy formats round differently.
    tolerance = 0 if suffix in (".png", ".bmp", ".tiff") else 4
    assert np.abs(decode(read_bytes(tmp_path / f"a{suffix}"), 48, color=True) - expected).max() <= tolerance


def test_gray_and_color_files_are_converted_to_the_requested_channels(tmp_path, face):
    save(tmp_path / "gray.png", face[..., 1])
    save(tmp_path / "color.png", face)
    gray = decode(read_bytes(tmp_path / "gray.png"), 48, False)
    rgb = decode(read_bytes(tmp_path / "gray.png"), 48, True)
    np.testing.assert_array_equal(gray[..., 0], face[..., 1])
    np.testing.assert_array_equal(rgb, np.repeat(gray, 3, axis=2))
    luma = np.asarray(Image.fromarray(face).convert("L")).astype(int)
    assert np.abs(decode(read_bytes(tmp_path / "color.png"), 48, False)[..., 0] - luma).max() <= 1


def test_sixteen_bits_and_transparency(tmp_path, face):
    Image.fromarray(face).convert("RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(read_bytes(tmp_path / "a.png"), 48, True), face)
    cv2.imwrite(str(tmp_path / "b.png"), face[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode(read_bytes(tmp_path / "b.png"), 48, False)[..., 0], face[..., 0])


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGBA", ".png"),
        ("LA", ".png"),
        ("P", ".png"),
        ("RGBA", ".webp"),
        ("RGBA", ".tiff"),
        ("RGBA", ".avif"),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_transparent_pixels_are_white_as_in_prediction(tmp_path, face, mode, suffix, orientation):
    image, alpha = Image.fromarray(face), np.full((48, 48), 255, np.uint8)
    alpha[:20], alpha[20:30] = 0, 100
    options = {"exif": image.getexif(), "lossless": True}
    options["exif"][0x0112] = orientation
    if mode == "P":
        image = image.quantize(32)
        options |= {"transparency": image.getpixel((0, 0))}
    else:
        image = image.convert(mode)
        image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / f"a{suffix}", **options)
    expected = read_image(tmp_path / f"a{suffix}")
    decoded = decode(read_bytes(tmp_path / f"a{suffix}"), 48, color=True)
    np.testing.assert_array_equal(decoded, expected)
    assert (decoded == 255).all(2).any()
    gray = decode(read_bytes(tmp_path / f"a{suffix}"), 48, color=False)
    np.testing.assert_array_equal(gray[..., 0], cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize(("height", "width"), [(40, 60), (61, 40), (40, 40)])
def test_crop_is_the_largest_centered_square(tmp_path, height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    save(tmp_path / "a.png", image)
    top, left = (height - 40) // 2, (width - 40) // 2
    expected = image[top : top + 40, left : left + 40]
    np.testing.assert_array_equal(decode(read_bytes(tmp_path / "a.png"), 40, False)[..., 0], expected)


def test_shrinking_by_an_integer_factor_averages(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    save(tmp_path / "a.png", image)
    means = image.reshape(20, 3, 20, 3).mean(axis=(1, 3))
    assert np.abs(decode(read_bytes(tmp_path / "a.png"), 20, False)[..., 0] - means).max() <= 0.5 + 1e-6


def test_box(tmp_path, face):
    margin = cv2.copyMakeBorder(face, 7, 9, 30, 1, cv2.BORDER_CONSTANT)
    save(tmp_path / "a.png", margin)
    inside, outside = np.array([30, 7, 48, 48]), np.array([500, 500, 10, 10])
    np.testing.assert_array_equal(decode(read_bytes(tmp_path / "a.png"), 48, True, inside), face)
    uncropped = decode(read_bytes(tmp_path / "a.png"), 48, True)
    np.testing.assert_array_equal(decode(read_bytes(tmp_path / "a.png"), 48, True, outside), uncropped)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
def test_truncated_files_are_not_images(tmp_path, face, suffix, fraction, capfd):
    save(tmp_path / f"a{suffix}", face)
    complete = read_bytes(tmp_path / f"a{suffix}")
    assert decode(complete[: int(fraction * len(complete))], 48, True) is None
    assert capfd.readouterr().err == ""


@pytest.fixture
def ten_images(tmp_path):
    for i, image in enumerate(faces()[0].images[:10]):
        save(tmp_path / "a" / f"{i}.png", image)
    return ImageFiles(list_files(tmp_path, "a"), 48, True)


def test_image_files_index_like_an_array(ten_images):
    expected = faces()[0].images[:10]
    assert (len(ten_images), ten_images.shape, ten_images.dtype, ten_images.nbytes) == (
        10,
        expected.shape,
        expected.dtype,
        expected.nbytes,
    )
    for rows in (np.array([3, 0, 3]), slice(2, 5), slice(None), np.arange(10) % 2 == 0, np.array([], int)):
        np.testing.assert_array_equal(ten_images[rows], expected[rows])
    np.testing.assert_array_equal(ten_images[4], expected[4])
    np.testing.assert_array_equal(ten_images.subset(np.array([7, 2]))[1], expected[2])
    np.testing.assert_array_equal(ten_images.read_all()[0], expected)
    assert sum(1 for _ in ten_images) == 10


def test_unreadable_files_are_named(ten_images, tmp_path):
    (tmp_path / "a" / "1.png").write_bytes(b"")
    (tmp_path / "a" / "2.png").write_bytes(read_bytes(tmp_path / "a" / "2.png").tobytes()[:50])
    (tmp_path / "a" / "3.png").unlink()
    (tmp_path / "a" / "3.png").symlink_to(tmp_path / "gone")
    images = ImageFiles(list_files(tmp_path, "a"), 48, True)
    message = (
        r"3 of 10 files cannot be read as images: a/1.png \(empty\), a/2.png \(damaged, or not an image\), "
    )
    with pytest.raises(FerError, match=message + r"a/3.png \(no such file\)\. .*skip_corrupt=true"):
        images[:]
    assert images.read(np.arange(10))[1].tolist() == [True, False, False, False] + [True] * 6
    assert images.suspect_rows().tolist() == [1, 3]


def test_content_hashes_are_equal_for_copies_only(ten_images, tmp_path):
    (tmp_path / "a" / "copy.png").write_bytes((tmp_path / "a" / "4.png").read_bytes())
    hashes = list(list_files(tmp_path, "a").content_hashes(np.arange(11)))
    assert hashes[10] == hashes[4]
    assert len(set(hashes)) == 10


def test_content_hashes_of_many_missing_files_use_their_names(tmp_path):
    many = FileList(
        tmp_path, np.array([b"%d.png" % i for i in range(100_001)]), *np.ones((2, 100_001), np.int64)
    )
    assert len(set(many.content_hashes(np.arange(len(many))))) == len(many)


def test_listing_skips_hidden_and_system_files(tmp_path):
    for name in ("b.png", "deep/er/a.png", ".hidden.png", ".git/c.png", "Thumbs.db", "__MACOSX/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1" * len(name))
    files = list_files(tmp_path, ".")
    assert [files.name(i) for i in range(len(files))] == ["./b.png", "./deep/er/a.png"]
    assert files.sizes.tolist() == [5, 13]
    selected = files.lookup([b"./deep/er/a.png", b"./gone.png"])
    assert selected.sizes.tolist() == [13, -1]


def test_non_latin_names(tmp_path):
    save(tmp_path / "a" / "счастье 幸.png", faces()[0].images[0])
    images = ImageFiles(list_files(tmp_path, "a"), 48, True)
    np.testing.assert_array_equal(images[0], faces()[0].images[0])


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_animations_are_reported(tmp_path, face, suffix):
    frames = [Image.fromarray(face), Image.fromarray(255 - face)]
    (tmp_path / "a").mkdir()
    frames[0].save(tmp_path / "a" / f"0{suffix}", save_all=True, append_images=frames[1:], loop=0)
    frames[0].save(tmp_path / "a" / f"1{suffix}")
    images = ImageFiles(list_files(tmp_path, "a"), 48, True)
    with pytest.warns(UserWarning, match=rf"1 of 2 files is an animation.*first image is used: a/0\{suffix}"):
        pixels, readable = images.read_all()
    assert readable.all()
    np.testing.assert_allclose(pixels[0], read_image(tmp_path / "a" / f"0{suffix}"), atol=12)


def test_linked_folders_are_read_without_end(tmp_path, face):
    save(tmp_path / "outside" / "a.png", face)
    save(tmp_path / "set" / "happy" / "b.png", face)
    (tmp_path / "set" / "happy" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "set" / "happy" / "loop").symlink_to(tmp_path / "set")
    (tmp_path / "outside" / "self").symlink_to(tmp_path / "outside")
    files = list_files(tmp_path / "set", "happy")
    assert files.names.tolist() == [b"happy/b.png", b"happy/link/a.png"]
