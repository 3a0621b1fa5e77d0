"""Log a report to the W&B run of its training."""

import io
from collections.abc import Sequence
from typing import Any

from fer.analysis.report.headline import find_headlines
from fer.analysis.report.plain import to_json_values
from fer.analysis.section import Section, Table


def log_report(run: Any, sections: Sequence[Section]) -> None:
    """Log all tables and plots in one step, and the headline metrics to the summary of the run.

    The names are ``report/<key>/table_1``, … and ``report/<key>/<plot>``; the metrics are
    ``report/accuracy``, with ``report/accuracy_low`` and ``report/accuracy_high``.

    Args:
        run: An open ``wandb.Run``, such as `fer.training.loggers.start_wandb` returns.
        sections: Of the report.
    """
    content: dict[str, Any] = {}
    for section in sections:
        name = f"report/{section.key}"
        content |= {f"{name}/table_{i}": _table(table) for i, table in enumerate(section.tables, 1)}
        content |= {f"{name}/{plot.name}": _image(plot.png, plot.caption) for plot in section.plots}
    if content:
        run.log(content)
    run.summary.update(_headline_values(sections))


def _headline_values(sections: Sequence[Section]) -> dict[str, float]:
    numbers = {section.key: to_json_values(section.numbers) for section in sections}
    values: dict[str, float] = {}
    for headline in find_headlines(numbers):
        parts = {"": headline.value, "_low": headline.low, "_high": headline.high}
        values |= {
            f"report/{headline.key}{suffix}": value for suffix, value in parts.items() if value is not None
        }
    return values


def _table(table: Table) -> Any:
    import wandb

    rows = [list(row) for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)


def _image(png: bytes, caption: str) -> Any:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(png)), caption=caption)
