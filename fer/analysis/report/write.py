"""Write the three files of a report: HTML page, Markdown and JSON."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.report.markdown import render_markdown
from fer.analysis.report.page import render_page
from fer.analysis.report.plain import to_json_values
from fer.analysis.section import Section


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
        about: `Predictions.about`. ``data``, ``split`` and ``run`` are shown below the title, ``tta`` with
            the headline metrics, and all values that are not nested at the end.

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
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
