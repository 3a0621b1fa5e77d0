"""What reports say about exported models: what they are, and whose training images are not known."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer.analysis.about import About
from fer.analysis.report.document import Cell, Section, Table
from fer.evaluation.sections.faces import missed_faces


def unknown_training(about: About) -> str:
    """Return the warning on a foreign file: its score may be on images that it was trained on."""
    return (
        f"What {about.run} ({Path(about.checkpoint).name}) was trained on is not known: it is a foreign "
        "file. If these images, or others of the same people, were among its training images, the scores are "
        "too high, and nothing here can show it."
    )


def foreign_models(about: About) -> list[About]:
    """Return the models whose training is not known."""
    return [model for model in (about, *about.members) if model.spec is not None]


def specs(about: About) -> Iterator[Table]:
    """Yield how each foreign file was run."""
    for model in foreign_models(about):
        rows: list[tuple[Cell, ...]] = list((model.spec or {}).items())
        name = re.sub(r"\W", "_", f"spec_{model.run}")
        yield Table(("foreign file", "value"), rows, f"How {model.run} was run, as its spec says.", name)


def exported_section(abouts: Sequence[About]) -> Section | None:
    """Return the section on exported models, from the facts about all models; ``None`` without any."""
    exported = [(about, about.exported) for about in abouts if about.exported]
    if not exported:
        return None
    columns = ("model", *exported[0][1])
    rows: list[tuple[Cell, ...]] = [(about.run, *facts.values()) for about, facts in exported]
    table = Table(columns, rows, "The file is scored as it is: int8 as int8.", "exported_models")
    tables = [table, *(one for about, _ in exported for one in specs(about))]
    return Section("exported", "Exported models", [], tables, numbers={"models": [row[0] for row in rows]})


def comparison_warnings(abouts: Sequence[About]) -> Section | None:
    """Return the warning section for the top of a comparison; ``None`` if there is nothing to warn of."""
    warnings = [unknown_training(about) for about in abouts if about.spec is not None]
    # The same detector for all models
    warnings += missed_faces(abouts[0])
    return Section("warnings", "Read this first", warnings, warning=True) if warnings else None
