"""A report's three files: the page, the text and the numbers."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.report.markdown import markdown
from fer.analysis.report.page import page
from fer.analysis.report.plain import plain
from fer.analysis.section import Section


def write_report(
    folder: str | Path, sections: Sequence[Section], title: str, about: Mapping[str, Any]
) -> Path:
    """Write ``index.html``, ``report.md`` and ``metrics.json``; a reader never sees half of a file.

    The same arguments give the same bytes.

    Args:
        folder: Made if it is not there; earlier files of these names are replaced.
        sections: In the order of the report. The main figures are the ``accuracy``, ``macro_f1`` and ``uar``
            of the first section whose numbers hold them; what they are worth is what ``protocol`` says.
        title: What is reported on, in a line.
        about: `Predictions.about`: ``data``, ``split`` and ``run`` stand below the title, ``tta`` at the main
            figures, every value that is not nested at the end.

    Returns:
        Path of the page.
    """
    keys = [section.key for section in sections]
    assert len({*keys, "title", "about"}) == len(keys) + 2, f"keys of sections must differ: {keys}"
    numbers = {section.key: plain(section.numbers) for section in sections}
    facts = plain(about)
    metrics = {"title": title, "about": facts, **numbers}
    files = {
        "metrics.json": json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": markdown(sections, title, numbers),
        "index.html": page(sections, title, facts, numbers),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in files.items():
        write_whole(folder / name, words)
    return folder / "index.html"


def write_whole(path: Path, words: str) -> None:
    """Write a file whole or not at all; half a surrogate pair is written as its number, ``\\udcff``."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        draft.write_bytes(words.encode("utf-8", "backslashreplace"))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
