"""The page of a report: one HTML file that asks nothing of a network, for screens, phones and paper."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from fer.analysis.report.cells import show
from fer.analysis.report.figures import box, caption, table_figure, typeset
from fer.analysis.report.headline import Headline, headlines, standing
from fer.analysis.report.html import Markup, join, tag
from fer.analysis.report.pictures import inline
from fer.analysis.section import Picture, Section, Table

# Were a label ever to get past the escaping, a browser would still load and run nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NOTE = "An expression is not a feeling: do not decide about people with it."
_ACRONYMS = {"sha256": "SHA-256", "tta": "test-time augmentation"}


def page(
    sections: Sequence[Section], title: str, about: Mapping[str, Any], numbers: Mapping[str, Any]
) -> str:
    """Return the page as HTML.

    Args:
        sections: In the order of the page; warnings are moved to the box at its top.
        title: Its heading.
        about: Of the predictions; see `fer.analysis.report.write.write_report`.
        numbers: Section key -> plain numbers, among which the main figures are looked for.
    """
    chapters = _Chapters([picture for section in sections for picture in section.pictures])
    warnings = chapters.warnings([section for section in sections if section.warning])
    rest = [section for section in sections if not section.warning]
    body = [
        _header(title, about),
        warnings,
        _headlines(headlines(numbers), standing(numbers), about),
        tag(
            "div", _contents(rest), tag("main", *map(chapters.section, rest), _about(about)), class_="columns"
        ),
        tag("footer", tag("p", "The numbers of this page are in metrics.json beside it."), tag("p", NOTE)),
    ]
    return f"<!doctype html>\n{tag('html', head(title), tag('body', join(body)), lang='en')}\n"


def head(title: str, policy: str = POLICY, styles: Sequence[Path] = (), script: str = "") -> Markup:
    """Return the head of a page: what it may load, how it looks, and what it runs.

    Args:
        title: Of the page.
        policy: Its Content-Security-Policy.
        styles: Style sheets that come after the one of all pages.
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


def _headlines(figures: Sequence[Headline], worth: str, about: Mapping[str, Any]) -> Markup:
    """Return the main figures as cards, and on what they were measured."""
    if not figures:
        return Markup("")
    cards = [tag("div", tag("dt", f.name), tag("dd", f.shown), _span(f), class_="card") for f in figures]
    facts = [worth, f"n = {figures[0].n:,} images"]
    if "tta" in about:
        facts.append(f"test-time augmentation: {about['tta'] or 'none'}")
    chips = [tag("li", fact) for fact in facts if fact]
    return tag(
        "section",
        tag("h2", "Main figures", class_="aside"),
        tag("dl", *cards),
        tag("ul", *chips),
        class_="headline",
        aria_label="Main figures",
    )


def _span(figure: Headline) -> Markup:
    """Return the interval in words, below a line from 0 to 100 % on which it is drawn."""
    if figure.low is None or figure.high is None:
        return tag("dd", figure.interval)
    low, width = 100 * figure.low, max(0.6, 100 * (figure.high - figure.low))
    track = tag("rect", x=0, y=1, width=100, height=2, class_="track")
    found = tag("rect", x=f"{low:.2f}", y=0, width=f"{width:.2f}", height=4)
    drawn = tag("svg", track, found, viewBox="0 0 100 4", preserveAspectRatio="none", aria_hidden="true")
    return tag("dd", drawn, figure.interval)


def _contents(sections: Sequence[Section]) -> Markup:
    places = [(section.key, section.title) for section in sections] + [("about", "What was scored")]
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title in places]
    return tag("nav", tag("h2", "Contents"), tag("ol", *links), aria_label="Contents")


def _about(about: Mapping[str, Any]) -> Markup:
    """Return what was scored, with what, as a list of terms; nested values are left to metrics.json."""
    facts = [(key, value) for key, value in about.items() if not isinstance(value, Mapping | list | tuple)]
    pairs = [tag("div", tag("dt", _term(key)), tag("dd", _fact(value))) for key, value in facts]
    return tag("section", tag("h2", "What was scored"), tag("dl", *pairs, class_="about"), id="about")


def _term(key: str) -> str:
    words = [_ACRONYMS.get(word, word) for word in key.split("_")]
    return " ".join(words)


def _fact(value: Any) -> str:
    return (
        ("no", "yes")[value]
        if isinstance(value, bool)
        else str(value)
        if isinstance(value, int)
        else show(value)
    )


class _Chapters:
    """Sections as HTML; tables and figures are numbered as they come.

    Args:
        pictures: Of all sections; they share the page's budget.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._inlined = {id(p): drawn for p, drawn in zip(pictures, inline(pictures), strict=True)}
        self._tables, self._figures = count(1), count(1)

    def warnings(self, sections: Sequence[Section]) -> Markup:
        """Return the box at the top, or nothing."""
        if not sections:
            return Markup("")
        one = len(sections) == 1
        heading = f"Warning. {sections[0].title}" if one else f"{len(sections)} warnings"
        parts = [tag("h2", f"⚠ {heading}", id="read-first")]
        for section in sections:
            title = [] if one else [tag("h3", section.title)]
            parts.append(tag("div", *title, *self._content(section), id=section.key))
        return tag("aside", *parts, class_="warnings", aria_labelledby="read-first")

    def section(self, section: Section) -> Markup:
        """Return one chapter."""
        return tag("section", tag("h2", section.title), *self._content(section), id=section.key)

    def _content(self, section: Section) -> Iterator[Markup]:
        yield from (tag("p", typeset(words)) for words in section.words)
        yield from map(self._table, section.tables)
        yield from map(self._picture, section.pictures)

    def _table(self, table: Table) -> Markup:
        return table_figure(table, f"Table {next(self._tables)}")

    def _picture(self, picture: Picture) -> Markup:
        number, drawn = f"Figure {next(self._figures)}", self._inlined[id(picture)]
        image = tag(
            "img",
            src=drawn.address,
            alt=picture.alt,
            width=drawn.width,
            height=drawn.height,
            style=f"--width: {drawn.width}px",
        )
        return tag("figure", box(image, number), caption(number, picture.caption), class_="picture")
