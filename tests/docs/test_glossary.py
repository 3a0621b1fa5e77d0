"""docs/glossary.md: alphabetical, one sentence or two for each term."""

import re
from pathlib import Path

ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \|$",
    (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(),
    re.MULTILINE,
)[1:]


def test_terms_are_alphabetical_and_unique():
    terms = [term.casefold() for term, _ in ROWS]
    assert terms == sorted(set(terms))
    assert len(terms) > 100


def test_a_meaning_is_short_text():
    for term, meaning in ROWS:
        assert meaning.endswith("."), term
        assert len(meaning) < 200, term


def test_the_words_of_the_protocol_are_explained():
    needed = {
        "selection split",
        "ledger",
        "manifest",
        "leak",
        "carve-out",
        "paired test",
        "calibration",
        "crop rule",
    }
    assert needed <= {term for term, _ in ROWS}
