"""Render a report as one HTML page, with images, styles and scripts inlined.

HTML is built from nested calls of `tag`. Every string that is not `Markup` is escaped.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from fer.analysis.plots.style import DPI
from fer.analysis.report.document import (
    Column,
    Headline,
    Plot,
    Section,
    Table,
    describe_split,
    find_headlines,
    format_cell,
    format_columns,
)

# Elements without content and closing tag
_VOID = {"meta", "img"}
# Not allowed in HTML: control characters, and lone surrogates (in file names that are not UTF-8)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Content-Security-Policy: even if a label were not escaped, the browser would load and run nothing
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
DISCLAIMER = "An expression is not a feeling: do not use this to make decisions about people."
_ACRONYMS = {"sha256": "SHA-256", "tta": "test-time augmentation"}
# Maximum bytes of all images together; base64 adds a third, and the page stays below 5 MB
MAX_TOTAL_BYTES = 3_600_000
# Widths to try, in pixels. The page shows at most 960, so the first is sharp on any screen
WIDTHS = (1920, 1440, 1100, 800, 560)
# Maximum number of colours of a chart: with anti-aliased text it has a few thousand, a photograph more
MAX_CHART_COLORS = 8192


class Markup(str):
    """Complete, safe HTML, as returned by `tag`."""


@dataclass(frozen=True)
class InlineImage:
    """An image as a ``data:`` URI. Width and height are in CSS pixels and keep the inches of the figure."""

    data_uri: str
    width: int
    height: int


def escape_text(text: str) -> Markup:
    """Escape the text of an element or the value of an attribute, quotes included."""
    return Markup(escape(_UNPRINTABLE.sub("�", text)))


def join(parts: list[Markup]) -> Markup:
    """Join elements, one per line."""
    return Markup("\n".join(parts))


def tag(name: str, /, *children: str, **attributes: str | int | None) -> Markup:
    """Return an element.

    Args:
        name: Name of the element.
        children: `Markup` is inserted unchanged, any other string is escaped.
        attributes: Values are escaped; ``None`` omits the attribute. ``class_`` is class, ``_`` is a hyphen.
    """
    attribute_text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape_text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(child if isinstance(child, Markup) else escape_text(child) for child in children)
    return Markup(f"<{name}{attribute_text}>" + ("" if name in _VOID else f"{content}</{name}>"))


def render_page(
    sections: Sequence[Section], title: str, about: Mapping[str, Any], numbers: Mapping[str, Any]
) -> str:
    """Return the page as HTML.

    Args:
        sections: In the order of the page; warnings are moved to the box at its top.
        title: Title and heading of the page.
        about: ``about`` of the predictions; see `fer.analysis.report.write.write_report`.
        numbers: Section key -> JSON values; the headline metrics are looked up in them.
    """
    renderer = _SectionRenderer([plot for section in sections for plot in section.plots])
    warnings = renderer.warnings([section for section in sections if section.warning])
    rest = [section for section in sections if not section.warning]
    main = tag("main", *map(renderer.section, rest), _about(about))
    body = [
        _header(title, about),
        warnings,
        _headlines(find_headlines(numbers), describe_split(numbers), about),
        tag("div", _contents(rest), main, class_="columns"),
        tag(
            "footer",
            tag("p", "The numbers on this page are also in metrics.json, in the same folder."),
            tag("p", DISCLAIMER),
        ),
    ]
    return f"<!doctype html>\n{tag('html', html_head(title), tag('body', join(body)), lang='en')}\n"


def html_head(title: str, policy: str = POLICY, styles: Sequence[Path] = (), script: str = "") -> Markup:
    """Return the ``<head>`` of a page, with its styles and scripts inlined.

    Args:
        title: Title of the page.
        policy: Content-Security-Policy of the page.
        styles: Style sheets to add after the common one.
        script: JavaScript.
    """
    sheets = [Path(__file__).with_name("style.css"), *styles]
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup("\n".join(path.read_text(encoding="utf-8") for path in sheets))),
        tag("script", Markup(script)) if script else "",
    )


def _header(title: str, about: Mapping[str, Any]) -> Markup:
    facts = [about.get("data"), about.get("split"), about.get("run")]
    line = " · ".join(str(fact) for fact in facts if fact)
    return tag("header", tag("h1", title), tag("p", line, class_="facts"))


def _headlines(headlines: Sequence[Headline], split: str, about: Mapping[str, Any]) -> Markup:
    """Return the headline metrics as cards, and the split they were measured on."""
    if not headlines:
        return Markup("")
    cards = [
        tag("div", tag("dt", h.name), tag("dd", h.formatted_value), _interval(h), class_="card")
        for h in headlines
    ]
    facts = [split, f"n = {headlines[0].n:,} images"]
    if "tta" in about:
        facts.append(f"test-time augmentation: {about['tta'] or 'none'}")
    items = [tag("li", fact) for fact in facts if fact]
    return tag(
        "section",
        tag("h2", "Headline metrics", class_="aside"),
        tag("dl", *cards),
        tag("ul", *items),
        class_="headline",
        aria_label="Headline metrics",
    )


def _interval(headline: Headline) -> Markup:
    """Return the interval as text, below a bar from 0 to 100 % that shows it."""
    if headline.low is None or headline.high is None:
        return tag("dd", headline.formatted_interval)
    low, width = 100 * headline.low, max(0.6, 100 * (headline.high - headline.low))
    track = tag("rect", x=0, y=1, width=100, height=2, class_="track")
    interval = tag("rect", x=f"{low:.2f}", y=0, width=f"{width:.2f}", height=4)
    bar = tag("svg", track, interval, viewBox="0 0 100 4", preserveAspectRatio="none", aria_hidden="true")
    return tag("dd", bar, headline.formatted_interval)


def _contents(sections: Sequence[Section]) -> Markup:
    entries = [(section.key, section.title) for section in sections] + [("about", "What was scored")]
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title in entries]
    return tag("nav", tag("h2", "Contents"), tag("ol", *links), aria_label="Contents")


def _about(about: Mapping[str, Any]) -> Markup:
    """Return what was scored as a list of terms. Nested values are only in metrics.json."""
    facts = [(key, value) for key, value in about.items() if not isinstance(value, Mapping | list | tuple)]
    pairs = [tag("div", tag("dt", _term(key)), tag("dd", _format_fact(value))) for key, value in facts]
    return tag("section", tag("h2", "What was scored"), tag("dl", *pairs, class_="about"), id="about")


def _term(key: str) -> str:
    return " ".join(_ACRONYMS.get(word, word) for word in key.split("_"))


def _format_fact(value: Any) -> str:
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return str(value) if isinstance(value, int) else format_cell(value)


class _SectionRenderer:
    """Renders sections as HTML. Tables and figures are numbered in the order of the calls.

    Args:
        plots: Of all sections; they share the size budget of the page.
    """

    def __init__(self, plots: Sequence[Plot]) -> None:
        self._images = {id(plot): image for plot, image in zip(plots, inline_images(plots), strict=True)}
        self._table_numbers, self._figure_numbers = count(1), count(1)

    def warnings(self, sections: Sequence[Section]) -> Markup:
        """Return the warning box at the top, or "" without warnings."""
        if not sections:
            return Markup("")
        is_single = len(sections) == 1
        heading = f"Warning. {sections[0].title}" if is_single else f"{len(sections)} warnings"
        parts = [tag("h2", f"⚠ {heading}", id="read-first")]
        for section in sections:
            title = [] if is_single else [tag("h3", section.title)]
            parts.append(tag("div", *title, *self._content(section), id=section.key))
        return tag("aside", *parts, class_="warnings", aria_labelledby="read-first")

    def section(self, section: Section) -> Markup:
        """Return one section."""
        return tag("section", tag("h2", section.title), *self._content(section), id=section.key)

    def _content(self, section: Section) -> Iterator[Markup]:
        yield from (tag("p", keep_units_together(paragraph)) for paragraph in section.paragraphs)
        yield from map(self._table, section.tables)
        yield from map(self._plot, section.plots)

    def _table(self, table: Table) -> Markup:
        return table_figure(table, f"Table {next(self._table_numbers)}")

    def _plot(self, plot: Plot) -> Markup:
        number, image = f"Figure {next(self._figure_numbers)}", self._images[id(plot)]
        element = tag(
            "img",
            src=image.data_uri,
            alt=plot.alt,
            width=image.width,
            height=image.height,
            style=f"--width: {image.width}px",
        )
        return tag("figure", scroll_box(element, number), caption(number, plot.caption), class_="picture")


def table_figure(table: Table, number: str) -> Markup:
    """Return a table with its caption; a wide table scrolls in its box, not with the page."""
    columns = format_columns(table)
    head = tag("tr", *map(_head_cell, columns))
    rows = [_row(columns, index) for index in range(len(table.rows))]
    element = tag("table", tag("thead", head), tag("tbody", join(rows)))
    return tag("figure", scroll_box(element, number), caption(number, table.caption), class_="table")


def _head_cell(column: Column) -> Markup:
    css_class = _css_class(column)
    return (
        tag("th", column.name, scope="col", class_=css_class) if column.name else tag("td", class_=css_class)
    )


def _row(columns: Sequence[Column], index: int) -> Markup:
    first, *rest = columns
    name = tag("th", first.cells[index], scope="row", class_=_css_class(first))
    return tag("tr", name, *(tag("td", column.cells[index], class_=_css_class(column)) for column in rest))


def _css_class(column: Column) -> str | None:
    return "number" if column.numeric else None


def scroll_box(content: Markup, name: str) -> Markup:
    """Return a box that scrolls sideways, also by keyboard, if its content is wider than the page."""
    return tag("div", content, class_="scroll", role="region", tabindex=0, aria_label=name)


def caption(number: str, text: str) -> Markup:
    """Return the caption of a table or figure."""
    return tag("figcaption", tag("b", f"{number}."), " " + keep_units_together(text))


def keep_units_together(text: str) -> str:
    """Use non-breaking spaces in ``n = 3,589`` and ``58.9 %``."""
    return text.replace("n = ", "n\u00a0=\u00a0").replace(" %", "\u00a0%")


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
    # CSS pixels per pixel
    scale = 96 / (image.info.get("dpi") or (DPI,))[0]
    data_uri = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    return InlineImage(data_uri, round(image.width * scale), round(image.height * scale))
