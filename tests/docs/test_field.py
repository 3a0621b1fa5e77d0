"""docs/field.md shows what docs/field.csv and docs/peers.csv say, and every figure has a source."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

import fer
from fer.bundle.foreign_spec import read_spec

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "field.md"
SPEC = importlib.util.spec_from_file_location("field_tables", ROOT / "scripts" / "field_tables.py")
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)
LITERATURE, PEERS = tables.read("field.csv"), tables.read("peers.csv")


def test_the_page_has_the_tables_of_the_files():
    page = PAGE.read_text()
    assert tables.filled(page) == page, "Run scripts/field_tables.py."


@pytest.mark.parametrize("row", LITERATURE, ids=lambda row: row["method"])
def test_a_published_figure_says_what_it_rests_on(row):
    known = ("accuracy", "split", "chosen_on", "tta", "extra_data", "parameters")
    assert all(row[key] for key in known)
    assert re.fullmatch(r"\d\d(\.\d)?( ± \d)?", row["accuracy"])
    assert row["paper"].startswith("https://") or row["code"].startswith("https://")


@pytest.mark.parametrize("row", PEERS, ids=lambda row: row["model"])
def test_a_peer_has_measurements_and_says_what_it_was_trained_on(row):
    assert row["package"]
    assert row["trained_on"]
    assert 0 < float(row["privatetest_accuracy"]) < 100
    assert int(row["parameters"]) > 50_000


@pytest.mark.parametrize("name", ["fer2013", "fer2013_48px"])
def test_the_models_of_the_package_have_the_figures_of_their_cards(name):
    card = json.loads((Path(fer.__file__).parent / "zoo" / name / "card.json").read_text())
    (row,) = (row for row in PEERS if row["model"] == name)
    val = card["metrics"]["val"]
    assert (val["split"], val["n"]) == ("PublicTest", tables.N_SPLIT)
    assert row["publictest_accuracy"] == f"{100 * val['figures']['accuracy']['value']:.1f}"
    assert int(row["parameters"]) == card["model"]["parameters"]


def test_an_interval_is_that_of_wilson():
    # Newcombe 1998, table I: 81 of 263 gives (0.2553, 0.3662) by the score method.
    assert tables.with_interval(str(100 * 81 / 263), 263).endswith("[25.5, 36.6]")
    assert tables.with_interval("", 263) == "–"


def test_a_page_without_marks_is_refused():
    with pytest.raises(SystemExit, match="expected one <!-- literature -->"):
        tables.filled("# A page")


def test_the_spec_of_the_page_is_valid(tmp_path):
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "mini.yaml").write_text(block)
    spec = read_spec(tmp_path / "mini.yaml")
    assert (spec.name, spec.size, spec.color, spec.layout) == ("mini-xception", 64, "gray", "nhwc")
    # Pixels from 0 to 255 become -1 to 1.
    assert (spec.scale, spec.mean, spec.std) == (1 / 255, (0.5,), (0.5,))
