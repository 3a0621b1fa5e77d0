"""Fuzz test of image reading: each damaged file must give pixels or one clear error message.

uv run python scripts/fuzz_pictures.py --minutes 10

Synthetic faces are written in every supported format and mode. Their bytes are changed, truncated, duplicated
and mixed, and boundary values are written into their headers. Prints the outcomes, the slowest file and the
peak memory. The exit status is 1 if anything but a `FerError` was raised, a file took over 10 seconds, or
memory exceeded 1 GB. Files that fail are written to --keep.
"""

import argparse
import faulthandler
import resource
import time
import warnings
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fer.core.errors import FerError
from fer.core.image_io import read_image

MAX_SECONDS, MAX_MB = 10.0, 1000
BOUNDARY_VALUES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]
FORMATS = (
    ("PNG", "1 L P RGB RGBA I;16", {}),
    ("PNG", "RGB RGBA", {"interlace": 1}),
    ("JPEG", "L RGB CMYK", {"exif": b"rotated"}),
    ("JPEG", "RGB", {"progressive": True}),
    ("WEBP", "RGB RGBA", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("BMP", "1 L P RGB RGBA", {}),
    ("TIFF", "1 L P RGB RGBA CMYK I;16", {}),
    ("TIFF", "L RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("GIF", "L P RGB", {"animated": True}),
    ("WEBP", "RGB", {"animated": True}),
    ("PNG", "RGBA", {"animated": True}),
    ("PPM", "1 L RGB I", {}),
)


def make_files():
    """Return name -> content of an image file, for every format and mode."""
    from fer.data.synthetic import face_at, render_face

    face = Image.fromarray(render_face(face_at(0, 0, 0)[0], 64)[0])
    return {f"{name} {mode} {options}": encode(face, name, mode, dict(options))
            for name, modes, options in FORMATS for mode in modes.split()}  # fmt: skip


def encode(face, name, mode, options):
    if mode in ("I;16", "I"):
        wide = np.asarray(face.convert("L")).astype(np.uint16 if mode == "I;16" else np.int32) * 257
        image = Image.fromarray(wide)
    else:
        image = face.convert(mode)
    if options.pop("animated", False):
        options |= {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
    if options.pop("exif", None):
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def damage(content, other, rng):
    """Return the content with one to eight random changes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        change = CHANGES[rng.integers(len(CHANGES))]
        content = change(content, other, rng) or bytearray(b"\0")
    return bytes(content)


def flip_bit(content, other, rng):
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return content


def write_number(content, other, rng):
    """Write a boundary value at a random position, in 60 % of cases in the header."""
    width, order = int(rng.choice([1, 2, 4])), ("little", "big")[rng.integers(2)]
    number = BOUNDARY_VALUES[rng.integers(len(BOUNDARY_VALUES))] & (256**width - 1)
    end = min(len(content), 128) if rng.random() < 0.6 else len(content)
    at = int(rng.integers(end))
    content[at : at + width] = number.to_bytes(width, order)
    return content


def truncate(content, other, rng):
    return content[: rng.integers(1, len(content) + 1)]


def remove(content, other, rng):
    at = int(rng.integers(len(content)))
    return content[:at] + content[at + int(rng.integers(1, 65)) :]


def duplicate(content, other, rng):
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 257))
    return content[: at + length] + content[at : at + length] + content[at + length :]


def splice(content, other, rng):
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


def overwrite(content, other, rng):
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 33))
    content[at : at + length] = rng.bytes(length)
    return content


# flip_bit and write_number are chosen twice as often as the others.
CHANGES = (flip_bit, flip_bit, write_number, write_number, truncate, remove, duplicate, splice, overwrite)


def read(content):
    """Read one file; return `opened`, `refused`, or a description of the defect."""
    try:
        image = read_image(content)
    except FerError as error:
        return "refused" if str(error) and "\n" not in str(error) else f"message {str(error)!r}"
    is_rgb = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return "opened" if is_rgb and image.flags.c_contiguous else f"array {image.shape} {image.dtype}"


def memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(arguments):
    """Fuzz until the time is over; return whether there was a defect."""
    rng = np.random.default_rng(arguments.seed)
    files = make_files()
    names, counts, slowest, num_defects = list(files), Counter(), 0.0, 0
    start = time.monotonic()
    while time.monotonic() - start < 60 * arguments.minutes:
        name, other = (names[i] for i in rng.integers(len(names), size=2))
        content = damage(files[name], files[other], rng)
        # Written before reading, so that it is available after a crash.
        (arguments.keep / "last.bin").write_bytes(content)
        before = time.monotonic()
        try:
            outcome = read(content)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - before
        slowest = max(slowest, seconds)
        counts[outcome if outcome in ("opened", "refused") else "defect"] += 1
        if outcome not in ("opened", "refused") or seconds > MAX_SECONDS:
            num_defects += 1
            file = arguments.keep / f"bad_{num_defects:04d}.bin"
            file.write_bytes(content)
            print(f"{file.name}, from {name}, {seconds:.1f} s: {outcome[:200]}", flush=True)
    print(f"{counts.total():,} files of {len(names)} kinds: {dict(counts)}")
    print(f"slowest file {slowest:.2f} s; peak memory {memory_mb():.0f} MB")
    return bool(num_defects) or memory_mb() > MAX_MB


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="duration (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("outputs/fuzz"), help="folder for files that fail")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    faulthandler.enable()
    raise SystemExit(fuzz(arguments))


if __name__ == "__main__":
    main()
