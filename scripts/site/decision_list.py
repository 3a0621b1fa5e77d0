"""List of the design decisions."""

from repository_links import ROOT

DECISIONS = ROOT / "docs" / "decisions"


def decisions_list() -> str:
    """Return a row for each decision, the newest first."""
    lines = ["| | decision |", "| --- | --- |"]
    for path in sorted(DECISIONS.glob("[0-9]*.md"), reverse=True):
        number, _, title = path.read_text().split("\n", 1)[0].removeprefix("# ").partition(". ")
        lines.append(f"| {number} | [{title}]({path.name}) |")
    return "\n".join(lines)
