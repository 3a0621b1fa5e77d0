"""The report as Markdown, such as for a pull request: text and tables, without plots."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer.analysis.report.cells import format_columns
from fer.analysis.report.headline import describe_split, find_headlines
from fer.analysis.section import Section, Table

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&$]|^[-+=]")


def render_markdown(sections: Sequence[Section], title: str, numbers: Mapping[str, Any]) -> str:
    """Return the report as GitHub-flavored Markdown; the arguments are those of `render_page`."""
    blocks = [f"# {_escape(title)}"]
    for section in (section for section in sections if section.warning):
        blocks += [f"> **⚠ Warning. {_escape(section.title)}**", *_content(section)]
    blocks += _headlines(numbers)
    for section in (section for section in sections if not section.warning):
        blocks += [f"## {_escape(section.title)}", *_content(section)]
    return "\n\n".join(blocks) + "\n"


def _headlines(numbers: Mapping[str, Any]) -> Iterator[str]:
    headlines = find_headlines(numbers)
    if headlines:
        metrics = " · ".join(
            f"{h.name} **{h.formatted_value}** ({_escape(h.formatted_interval)})" for h in headlines
        )
        yield f"{metrics}  \n{_escape(describe_split(numbers))}, n = {headlines[0].n:,}"


def _content(section: Section) -> Iterator[str]:
    yield from map(_escape, section.paragraphs)
    for table in section.tables:
        yield _table(table)
        if table.caption:
            yield f"*{_escape(table.caption)}*"
    if section.plots:
        yield f"*{len(section.plots)} figure{'s' * (len(section.plots) > 1)} in index.html.*"


def _table(table: Table) -> str:
    columns = format_columns(table)
    head, rule = (
        [_escape(column.name) for column in columns],
        ["---:" if c.numeric else "---" for c in columns],
    )
    rows = [[_escape(column.cells[index]) for column in columns] for index in range(len(table.rows))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _escape(text: str) -> str:
    """Return ``text`` in one line, with all Markdown and HTML syntax escaped."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
