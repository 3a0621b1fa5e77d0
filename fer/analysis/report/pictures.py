"""Pictures small enough that a page can hold them all."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from fer.analysis.section import Picture
from fer.analysis.style import DPI

BUDGET = 3_600_000  # bytes of all pictures together: base64 adds a third, and the page stays below 5 MB
WIDTHS = (
    1920,
    1440,
    1100,
    800,
    560,
)  # pixels; the page shows 960 at most, so the first is sharp on any screen
DRAWING = 8192  # distinct colours that a drawing has at most; anti-aliased text makes a few thousand


@dataclass(frozen=True)
class Inlined:
    """A picture as a ``data:`` address, with its size in CSS pixels: as many inches as it was drawn for."""

    address: str
    width: int
    height: int


def inline(pictures: Sequence[Picture]) -> list[Inlined]:
    """Return all pictures of a page, each as large as the budget allows."""
    opened = [Image.open(io.BytesIO(picture.png)) for picture in pictures]
    images = [_on_white(image) for image in opened]
    for width in WIDTHS:
        files = [_encode(_narrowed(image, width)) for image in images]
        if sum(len(data) for _, data in files) <= BUDGET:
            break
    return [_inlined(image, *file) for image, file in zip(opened, files, strict=True)]


def _on_white(image: Image.Image) -> Image.Image:
    """Return the picture without an alpha channel."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _narrowed(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _encode(image: Image.Image) -> tuple[str, bytes]:
    """Write a drawing as a PNG of its 256 main colours, and photographs as WebP."""
    file = io.BytesIO()
    if image.getcolors(DRAWING) is not None:
        image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG")
        return "image/png", file.getvalue()
    image.save(file, "WEBP", quality=90, method=2, use_sharp_yuv=True)
    return "image/webp", file.getvalue()


def _inlined(image: Image.Image, kind: str, data: bytes) -> Inlined:
    scale = 96 / (image.info.get("dpi") or (DPI,))[0]  # CSS pixels per pixel
    address = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return Inlined(address, round(image.width * scale), round(image.height * scale))
