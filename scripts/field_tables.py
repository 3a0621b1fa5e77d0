"""Write the tables of `docs/field.md` from `docs/field.csv` and `docs/peers.csv`.

    uv run python scripts/field_tables.py [docs/field.md]

`field.csv` has the figures of papers and repositories, with what is known about each: the split that it is
on, the images that the epoch or the model was chosen on, test-time augmentation, data beside FER2013,
parameters, and the sources. `peers.csv` has the measurements of models whose weights can be installed.

A table replaces what stands between `<!-- literature -->` and `<!-- /literature -->`, or between
`<!-- peers -->` and `<!-- /peers -->`.
"""

import argparse
import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from scipy.stats import binomtest

DOCS = Path(__file__).resolve().parent.parent / "docs"
# Images of PublicTest and of PrivateTest, and of CK+ in six emotions.
N_SPLIT, N_CKPLUS = 3589, 927
Row = dict[str, str]


def read(name: str) -> list[Row]:
    """Return the rows of a CSV file of the documentation."""
    with (DOCS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def literature(rows: Iterable[Row]) -> str:
    """Return the table of published figures, and a numbered note to each row that has one."""
    head = ("method", "accuracy, %", "split", "chosen on", "test-time augmentation", "data beside FER2013",
            "parameters", "source")  # fmt: skip
    lines, notes = [], list[str]()
    for row in rows:
        number = ""
        if row["note"]:
            notes.append(f"{len(notes) + 1}. {row['method']}: {row['note']}")
            number = f" [{len(notes)}]"
        lines.append((
            f"{row['method']}, {row['year']}{number}", row["accuracy"], row["split"], row["chosen_on"],
            row["tta"], row["extra_data"], row["parameters"], links(row),
        ))  # fmt: skip
    return table(head, lines) + "\n\n" + "\n".join(notes)


def links(row: Row) -> str:
    """Return the sources of a row as Markdown links."""
    return ", ".join(f"[{kind}]({row[kind]})" for kind in ("paper", "code", "thread") if row[kind])


def peers(rows: Iterable[Row]) -> str:
    """Return the table of measured models, with 95 % intervals (Wilson), and that of their training data."""
    head = ("model", "parameters", "ms per face", "PublicTest, %", "PrivateTest, %", "ECE", "CK+, %")
    lines = [
        (
            f"{row['model']}: {row['package']}", millions(row["parameters"]), row["ms_per_face_one_core"],
            with_interval(row["publictest_accuracy"], N_SPLIT),
            with_interval(row["privatetest_accuracy"], N_SPLIT), row["privatetest_ece"],
            with_interval(row["ckplus_accuracy"], N_CKPLUS),
        )
        for row in rows
    ]  # fmt: skip
    trained = [(row["model"], row["trained_on"]) for row in rows]
    return table(head, lines) + "\n\n" + table(("model", "trained on"), trained)


def millions(number: str) -> str:
    """Return a number of parameters in millions."""
    return f"{int(number) / 1e6:.2f} M"


def with_interval(percent: str, n: int) -> str:
    """Return a percentage of n images with its 95 % interval; a dash for an empty value."""
    if not percent:
        return "–"
    interval = binomtest(round(float(percent) / 100 * n), n).proportion_ci(method="wilson")
    return f"{percent} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str) -> str:
    """Return the page with the tables of the CSV files."""
    page = replaced(page, "literature", literature(read("field.csv")))
    return replaced(page, "peers", peers(read("peers.csv")))


def replaced(page: str, name: str, text: str) -> str:
    """Return the page with the text between the two marks of this name; blank lines beside them stay."""
    marks = rf"(<!-- {name} -->\s+).*?(\s+<!-- /{name} -->)"
    page, count = re.subn(marks, lambda found: found[1] + text + found[2], page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(
            f"Page: expected one <!-- {name} --> … <!-- /{name} -->, got {count}. Add the marks."
        )
    return page


def main() -> None:
    """Write the tables into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", nargs="?", type=Path, default=DOCS / "field.md", help="page to write into")
    page = parser.parse_args().page
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
