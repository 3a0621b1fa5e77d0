"""A report's figures, tables and pictures for a W&B run, beside what its training has logged."""

import io
from collections.abc import Sequence
from typing import Any

from fer.analysis.report.headline import headlines
from fer.analysis.report.plain import plain
from fer.analysis.section import Section, Table


def log_report(run: Any, sections: Sequence[Section]) -> None:
    """Send all tables and pictures in one step, and the main figures to the run's summary.

    They are named ``report/<key>/table_1`` … and ``report/<key>/<picture>``; the figures
    ``report/accuracy``, with ``report/accuracy_low`` and ``report/accuracy_high``.

    Args:
        run: An open ``wandb.Run``, such as `fer.training.loggers.start_wandb` returns.
        sections: Of the report.
    """
    content: dict[str, Any] = {}
    for section in sections:
        name = f"report/{section.key}"
        content |= {f"{name}/table_{i}": _table(table) for i, table in enumerate(section.tables, 1)}
        content |= {
            f"{name}/{picture.name}": _picture(picture.png, picture.caption) for picture in section.pictures
        }
    if content:
        run.log(content)
    run.summary.update(_figures(sections))


def _figures(sections: Sequence[Section]) -> dict[str, float]:
    numbers = {section.key: plain(section.numbers) for section in sections}
    found: dict[str, float] = {}
    for figure in headlines(numbers):
        parts = {"": figure.value, "_low": figure.low, "_high": figure.high}
        found |= {f"report/{figure.key}{end}": value for end, value in parts.items() if value is not None}
    return found


def _table(table: Table) -> Any:
    import wandb

    rows = [list(row) for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)


def _picture(png: bytes, caption: str) -> Any:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(png)), caption=caption)
