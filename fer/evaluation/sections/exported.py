"""What a comparison says about exported models: what they are, and whose training images are not known."""

from collections.abc import Sequence

from fer.analysis.about import About
from fer.analysis.report.document import Cell, Section, Table
from fer.evaluation.sections.protocol import missed_faces, specs, unknown_training


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
