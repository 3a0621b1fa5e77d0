"""Write the three files of a report: an HTML page, Markdown and JSON; render the Markdown and JSON."""

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.report.document import Section, Table, describe_split, find_headlines, format_columns
from fer.analysis.report.html import render_page
from fer.core.paths import atomic_write

# Characters with a meaning in Markdown or HTML
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&$]|^[-+=]")
# Note on a value that is NaN or infinite
UNDEFINED = "not a finite number"


def write_report(
    folder: str | Path, sections: Sequence[Section], title: str, about: Mapping[str, Any]
) -> Path:
    """Write ``index.html``, ``report.md`` and ``metrics.json``, each atomically.

    The same arguments give the same bytes.

    Args:
        folder: Created if it does not exist; existing files of these names are replaced.
        sections: In the order of the report. The headline metrics are ``accuracy``, ``macro_f1`` and ``uar``
            of the first section whose numbers contain them; the section ``protocol`` describes their split.
        title: One line.
        about: ``about`` of the predictions. ``data``, ``split`` and ``run`` are shown below the title,
            ``tta`` with the headline metrics, and all values that are not nested at the end.

    Returns:
        Path of the page.
    """
    keys = [section.key for section in sections]
    assert len({*keys, "title", "about"}) == len(keys) + 2, f"keys of sections must differ: {keys}"
    numbers = {section.key: to_json_values(section.numbers) for section in sections}
    facts = to_json_values(about)
    metrics = {"title": title, "about": facts, **numbers}
    files = {
        "metrics.json": json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render_markdown(sections, title, numbers),
        "index.html": render_page(sections, title, facts, numbers),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, text)
    return folder / "index.html"


def write_atomically(path: Path, text: str) -> None:
    r"""Write a file completely or not at all. Lone surrogates are written as an escape, ``\udcff``."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def render_markdown(sections: Sequence[Section], title: str, numbers: Mapping[str, Any]) -> str:
    """Return the report as GitHub-flavored Markdown; the arguments are those of `render_page`."""
    blocks = [f"# {_escape(title)}"]
    for section in (section for section in sections if section.warning):
        blocks += [f"> **⚠ Warning. {_escape(section.title)}**", *_section_content(section)]
    blocks += _headlines(numbers)
    for section in (section for section in sections if not section.warning):
        blocks += [f"## {_escape(section.title)}", *_section_content(section)]
    return "\n\n".join(blocks) + "\n"


def _headlines(numbers: Mapping[str, Any]) -> Iterator[str]:
    headlines = find_headlines(numbers)
    if headlines:
        metrics = " · ".join(
            f"{h.name} **{h.formatted_value}** ({_escape(h.formatted_interval)})" for h in headlines
        )
        yield f"{metrics}  \n{_escape(describe_split(numbers))}, n = {headlines[0].n:,}"


def _section_content(section: Section) -> Iterator[str]:
    yield from map(_escape, section.paragraphs)
    for table in section.tables:
        yield _table(table)
        if table.caption:
            yield f"*{_escape(table.caption)}*"
    if section.plots:
        yield f"*{len(section.plots)} figure{'s' * (len(section.plots) > 1)} in index.html.*"


def _table(table: Table) -> str:
    columns = format_columns(table)
    head = [_escape(column.name) for column in columns]
    rule = ["---:" if column.numeric else "---" for column in columns]
    rows = [map(_escape, cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _escape(text: str) -> str:
    """Return ``text`` in one line, with all Markdown and HTML syntax escaped."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def to_json_values(value: Any) -> Any:
    """Return ``value`` as JSON values; NaN and infinity become ``None``.

    If the value of a `fer.analysis.metrics.estimate.Estimate` is ``None`` and its note is empty, the note
    becomes `UNDEFINED`.

    Args:
        value: Nested mappings, sequences, dataclasses, numpy arrays and scalars, paths.

    Raises:
        TypeError: It contains a type that JSON cannot represent.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        values = {str(key): to_json_values(content) for key, content in value.items()}
        if values.get("value", ...) is None and values.get("note") == "":
            values["note"] = UNDEFINED
        return values
    if isinstance(value, list | tuple):
        return [to_json_values(content) for content in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f"Numbers of a report: expected values that JSON can represent, got {type(value).__name__}."
    )
