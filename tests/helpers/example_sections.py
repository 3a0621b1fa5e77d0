"""Report sections for tests: every kind of content, and labels that try to inject HTML or scripts."""

import io

import numpy as np
from PIL import Image

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.report.document import Plot, Section, Table

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    '"><img src=x onerror="document.title = \'taken\'">',
    "' onmouseover='x",
    "</style></table><h1>&lt;",
    "a|b\nc `*_[x](http://example.org)",
    "javascript:alert(1)",
    "‮gnp.x\x00\x1b[31m\udcff",
)


def png_of(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", dpi=(200, 200))
    return file.getvalue()


def chart(width=1600, height=700) -> bytes:
    """Return colored bars on white; encoding with a palette must not change their colors."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for bar, color in enumerate(((161, 57, 0), (0, 103, 75), (218, 140, 33))):
        pixels[80 + 200 * bar : 180 + 200 * bar, 60 : width - 60 - 300 * bar] = color
    return png_of(pixels)


def photograph(width=800, height=600, seed=0) -> bytes:
    return png_of(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def sections(label: str = "happy") -> list[Section]:
    """Return a warning, the protocol and other sections, with ``label`` wherever a name can occur."""
    estimates = {key: Estimate(0.589, 0.573, 0.605, 3589) for key in ("accuracy", "macro_f1")}
    estimates |= {"uar": Estimate(None, None, None, 0, f"no image of {label}")}
    wide = Table(
        ("emotion", *(f"{label} {i}" for i in range(12)), "images"),
        [(label, *([0.5] * 12), 3589), ("sad", *([None] * 12), 0)],
        f"By emotion, n = 3,589, {label}.",
    )
    protocol = {"standing": "test", "earlier_scores": {"same_recipe": 1}}
    return [
        Section("seen", f"Training images of {label}", [f"12 of 3,589 images: {label}"], warning=True),
        Section("protocol", "How this was measured", [f"Images of {label}."], numbers=protocol),
        Section(
            "scores", f"Scores of {label}", ["Plain text.", label], [wide],
            [Plot("bars", chart(), f"Bars of {label}", f"n = 3,589, {label}")], estimates,
        ),
        Section("empty", "Nothing here", ["There is no error."], [Table(("file", "n"), [])]),
        Section("faces", "Errors", [], [], [Plot("faces", photograph(), "Faces", "n = 25")], {label: 1}),
    ]  # fmt: skip


def about(label: str = "happy") -> dict:
    return {
        "data": label,
        "split": "PrivateTest",
        "run": label,
        "tta": None,
        "epoch": 12,
        "manifest": {"n": 1},
    }
