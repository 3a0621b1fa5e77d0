"""Render pages from templates, with images, styles and scripts inlined.

Values are escaped, unless they are `markupsafe.Markup`.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from fer.analysis.plots.style import DPI
from fer.analysis.report.document import (
    Headline,
    Plot,
    Section,
    describe_split,
    find_headlines,
    format_cell,
    format_columns,
)

# Not allowed in HTML: control characters, and lone surrogates (in file names that are not UTF-8)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Content-Security-Policy: even if a label were not escaped, the browser would load and run nothing
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_ACRONYMS = {"sha256": "SHA-256", "tta": "test-time augmentation"}
# Maximum bytes of all images together; base64 adds a third, and the page stays below 5 MB
MAX_TOTAL_BYTES = 3_600_000
# Widths to try, in pixels. The page shows at most 960, so the first is sharp on any screen
WIDTHS = (1920, 1440, 1100, 800, 560)
# Maximum number of colours of a chart: with anti-aliased text it has a few thousand, a photograph more
MAX_CHART_COLORS = 8192


@dataclass(frozen=True)
class InlineImage:
    """An image as a ``data:`` URI. Width and height are in CSS pixels and keep the inches of the figure."""

    data_uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """A main result at the top of a page; ``bar`` is the start and the width of its interval in percent."""

    name: str
    value: str
    remark: str
    bar: tuple[float, float] | None = None


def page_environment(*folders: Path) -> Environment:
    """Return the environment of the templates in this folder and in ``folders``."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, *folders]),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"next": next, "format_columns": format_columns}
    environment.filters["keep_units"] = keep_units_together
    return environment


def _printable(value: Any) -> Any:
    """Return a value for a page; unprintable characters of a text are replaced."""
    return value if isinstance(value, Markup) else _UNPRINTABLE.sub("�", str(value))


def render_page(
    sections: Sequence[Section], title: str, about: Mapping[str, Any], numbers: Mapping[str, Any]
) -> str:
    """Return the page of a report as HTML.

    Args:
        sections: In the order of the page; warnings are moved to the box at its top.
        title: Title and heading of the page.
        about: ``about`` of the predictions; see `fer.analysis.report.write.write_report`.
        numbers: Section key -> JSON values; the headline metrics are looked up in them.
    """
    plots = [plot for section in sections for plot in section.plots]
    headlines = find_headlines(numbers)
    measured = [describe_split(numbers), *(f"n = {headline.n:,} images" for headline in headlines[:1])]
    if "tta" in about:
        measured.append(f"test-time augmentation: {about['tta'] or 'none'}")
    return render(
        page_environment(),
        "report.html.j2",
        title=title,
        policy=POLICY,
        facts=" · ".join(str(about[key]) for key in ("data", "split", "run") if about.get(key)),
        warnings=[section for section in sections if section.warning],
        sections=[section for section in sections if not section.warning],
        cards_title="Headline metrics",
        cards=[_card(headline) for headline in headlines],
        measured=list(filter(None, measured)),
        about_title="What was scored",
        about=list(_about(about)),
        images=dict(zip((plot.name for plot in plots), inline_images(plots), strict=True)),
    )


def render(environment: Environment, template: str, **values: Any) -> str:
    """Return a page, with its tables and figures numbered from 1."""
    return environment.get_template(template).render(values, table_numbers=count(1), figure_numbers=count(1))


def _card(headline: Headline) -> Card:
    bar = None
    if headline.low is not None and headline.high is not None:
        bar = (100 * headline.low, max(0.6, 100 * (headline.high - headline.low)))
    return Card(headline.name, headline.formatted_value, headline.formatted_interval, bar)


def _about(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was scored as terms and values. Nested values are only in metrics.json."""
    for key, value in about.items():
        if isinstance(value, bool):
            text = ("no", "yes")[value]
        elif isinstance(value, Mapping | list | tuple):
            continue
        else:
            text = str(value) if isinstance(value, int) else format_cell(value)
        yield " ".join(_ACRONYMS.get(word, word) for word in key.split("_")), text


def keep_units_together(text: str) -> str:
    """Use non-breaking spaces in ``n = 3,589`` and ``58.9 %``."""
    return text.replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u00a0%")


def inline_images(plots: Sequence[Plot]) -> list[InlineImage]:
    """Return all images of a page, in the largest width for which they fit the byte budget."""
    opened = [Image.open(io.BytesIO(plot.png)) for plot in plots]
    # The plots are opaque
    images = [image.convert("RGB") for image in opened]
    for width in WIDTHS:
        files = [_encode(_shrink(image, width)) for image in images]
        if sum(len(data) for _, data in files) <= MAX_TOTAL_BYTES:
            break
    return [_inline(image, *file) for image, file in zip(opened, files, strict=True)]


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
    # CSS pixels per pixel
    scale = 96 / (image.info.get("dpi") or (DPI,))[0]
    data_uri = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    return InlineImage(data_uri, round(image.width * scale), round(image.height * scale))
