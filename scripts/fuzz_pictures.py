"""Damage pictures at random and open them: each must come as pixels or as one clear message.

uv run python scripts/fuzz_pictures.py --minutes 10

Drawn faces are written in every format and kind that is read, and their bytes changed, cut, doubled and
mixed, with numbers that break things in their headers. Reports what came of it, the slowest picture and the
highest memory. Exit status 1 where anything else than a `FerError` was raised, one took over 10 seconds, or
memory passed 1 GB. What fails is written into --keep.
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

from fer.errors import FerError
from fer.picture import read_image

SLOW_S, MOST_MB = 10.0, 1000
BREAKING = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]
WAYS = (
    ("PNG", "1 L P RGB RGBA I;16", {}),
    ("PNG", "RGB RGBA", {"interlace": 1}),
    ("JPEG", "L RGB CMYK", {"exif": b"turned"}),
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


def seeds():
    """Return pictures in every kind, by name."""
    from fer.data.synthetic import face_at, render_face

    face = Image.fromarray(render_face(face_at(0, 0, 0)[0], 64)[0])
    return {f"{name} {mode} {options}": written(face, name, mode, dict(options))
            for name, modes, options in WAYS for mode in modes.split()}  # fmt: skip


def written(face, name, mode, options):
    if mode in ("I;16", "I"):
        wide = np.asarray(face.convert("L")).astype(np.uint16 if mode == "I;16" else np.int32) * 257
        picture = Image.fromarray(wide)
    else:
        picture = face.convert(mode)
    if options.pop("animated", False):
        options |= {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    if options.pop("exif", None):
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    file = BytesIO()
    picture.save(file, name, **options)
    return file.getvalue()


def damaged(content, other, rng):
    """Return bytes with one to eight changes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        change = CHANGES[rng.integers(len(CHANGES))]
        content = change(content, other, rng) or bytearray(b"\0")
    return bytes(content)


def flip(content, other, rng):
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return content


def put_number(content, other, rng):
    """Write a breaking number somewhere, in the header more often than not."""
    width, order = int(rng.choice([1, 2, 4])), ("little", "big")[rng.integers(2)]
    number = BREAKING[rng.integers(len(BREAKING))] & (256**width - 1)
    end = min(len(content), 128) if rng.random() < 0.6 else len(content)
    at = int(rng.integers(end))
    content[at : at + width] = number.to_bytes(width, order)
    return content


def cut(content, other, rng):
    return content[: rng.integers(1, len(content) + 1)]


def drop(content, other, rng):
    at = int(rng.integers(len(content)))
    return content[:at] + content[at + int(rng.integers(1, 65)) :]


def double(content, other, rng):
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 257))
    return content[: at + length] + content[at : at + length] + content[at + length :]


def splice(content, other, rng):
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


def noise(content, other, rng):
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 33))
    content[at : at + length] = rng.bytes(length)
    return content


CHANGES = (flip, flip, put_number, put_number, cut, drop, double, splice, noise)


def attempt(content):
    """Open one picture; return what came of it: opened, refused, or the defect."""
    try:
        picture = read_image(content)
    except FerError as error:
        return "refused" if str(error) and "\n" not in str(error) else f"message {str(error)!r}"
    sound = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    return "opened" if sound and picture.flags.c_contiguous else f"array {picture.shape} {picture.dtype}"


def memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(arguments):
    """Return whether anything went wrong."""
    rng = np.random.default_rng(arguments.seed)
    pictures = seeds()
    names, counts, slowest, bad = list(pictures), Counter(), 0.0, 0
    start = time.monotonic()
    while time.monotonic() - start < 60 * arguments.minutes:
        name, other = (names[i] for i in rng.integers(len(names), size=2))
        content = damaged(pictures[name], pictures[other], rng)
        (arguments.keep / "last.bin").write_bytes(content)  # what a crash would leave behind
        before = time.monotonic()
        try:
            outcome = attempt(content)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        took = time.monotonic() - before
        slowest = max(slowest, took)
        counts[outcome if outcome in ("opened", "refused") else "defect"] += 1
        if outcome not in ("opened", "refused") or took > SLOW_S:
            bad += 1
            (arguments.keep / f"bad_{bad:04d}.bin").write_bytes(content)
            print(f"bad_{bad:04d}.bin, from {name}, {took:.1f} s: {outcome[:200]}", flush=True)
    print(f"{counts.total():,} pictures of {len(names)} kinds: {dict(counts)}")
    print(f"the slowest took {slowest:.2f} s; highest memory {memory_mb():.0f} MB")
    return bool(bad) or memory_mb() > MOST_MB


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("outputs/fuzz"), help="folder for what fails")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    faulthandler.enable()
    raise SystemExit(fuzz(arguments))


if __name__ == "__main__":
    main()
