"""The report as text for a pull request: the words and the tables of the page, without its pictures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer.analysis.report.cells import columns
from fer.analysis.report.headline import headlines, standing
from fer.analysis.section import Section, Table

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&$]|^[-+=]")


def markdown(sections: Sequence[Section], title: str, numbers: Mapping[str, Any]) -> str:
    """Return the report as Markdown as GitHub reads it; the arguments are those of `page`."""
    blocks = [f"# {_text(title)}"]
    for section in (section for section in sections if section.warning):
        blocks += [f"> **⚠ Warning. {_text(section.title)}**", *_content(section)]
    blocks += _headlines(numbers)
    for section in (section for section in sections if not section.warning):
        blocks += [f"## {_text(section.title)}", *_content(section)]
    return "\n\n".join(blocks) + "\n"


def _headlines(numbers: Mapping[str, Any]) -> Iterator[str]:
    figures = headlines(numbers)
    if figures:
        shown = " · ".join(f"{f.name} **{f.shown}** ({_text(f.interval)})" for f in figures)
        yield f"{shown}  \n{_text(standing(numbers))}, n = {figures[0].n:,}"


def _content(section: Section) -> Iterator[str]:
    yield from map(_text, section.words)
    for table in section.tables:
        yield _table(table)
        if table.caption:
            yield f"*{_text(table.caption)}*"
    if section.pictures:
        yield f"*{len(section.pictures)} figure{'s' * (len(section.pictures) > 1)} in index.html.*"


def _table(table: Table) -> str:
    shown = columns(table)
    head, rule = [_text(column.name) for column in shown], ["---:" if c.numeric else "---" for c in shown]
    rows = [[_text(column.cells[position]) for column in shown] for position in range(len(table.rows))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _text(words: str) -> str:
    """Return ``words`` in one line, with nothing in it that Markdown or HTML would read."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(words.split()))
