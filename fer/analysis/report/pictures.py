"""Shrink and encode images so that one HTML page can hold them all."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from fer.analysis.section import Plot
from fer.analysis.style import DPI

# Bytes of all images together. Base64 adds a third, and the page stays below 5 MB.
MAX_TOTAL_BYTES = 3_600_000
# Pixels. The page shows at most 960, so the first is sharp on any screen.
WIDTHS = (1920, 1440, 1100, 800, 560)
# Distinct colours: a chart with anti-aliased text has a few thousand, a photograph more.
MAX_CHART_COLORS = 8192


@dataclass(frozen=True)
class InlineImage:
    """An image as a ``data:`` URI. Width and height are in CSS pixels and keep the inches of the figure."""

    data_uri: str
    width: int
    height: int


def inline_images(plots: Sequence[Plot]) -> list[InlineImage]:
    """Return all images of a page, in the largest width for which they fit the byte budget."""
    opened = [Image.open(io.BytesIO(plot.png)) for plot in plots]
    images = [_on_white(image) for image in opened]
    for width in WIDTHS:
        files = [_encode(_shrink(image, width)) for image in images]
        if sum(len(data) for _, data in files) <= MAX_TOTAL_BYTES:
            break
    return [_inline(image, *file) for image, file in zip(opened, files, strict=True)]


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image without alpha channel, on a white background."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _shrink(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _encode(image: Image.Image) -> tuple[str, bytes]:
    """Return MIME type and file content: a PNG with 256 colours for a chart, WebP for photographs."""
    file = io.BytesIO()
    if image.getcolors(MAX_CHART_COLORS) is not None:
        image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG")
        return "image/png", file.getvalue()
    image.save(file, "WEBP", quality=90, method=2, use_sharp_yuv=True)
    return "image/webp", file.getvalue()


def _inline(image: Image.Image, mime_type: str, data: bytes) -> InlineImage:
    scale = 96 / (image.info.get("dpi") or (DPI,))[0]  # CSS pixels per pixel
    data_uri = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    return InlineImage(data_uri, round(image.width * scale), round(image.height * scale))
