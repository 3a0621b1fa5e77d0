"""The ledger keeps every line, also with several writers at the same time."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from fer.analysis.about import About
from fer.core.errors import FerError
from fer.data.sketch import make_sketch
from fer.evaluation.ledger import History, Ledger, make_entry

IMAGES = {"pixels_sha256": "images", "count": 10}
WRITER = """
import sys
from fer.evaluation.ledger import Ledger
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    ledger.append({"writer": sys.argv[2], "number": number, "padding": "x" * 20_000})
"""


def about(model="m", recipe="r", images=IMAGES):
    return About(model_sha256=model, recipe_sha256=recipe, manifest=images, created="now")


def test_parallel_writers_lose_no_lines(tmp_path):
    """Four processes write at once; each line is longer than a pipe buffer or a page."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(i)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True) for i in range(4)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = [json.loads(line) for line in (tmp_path / "test_ledger.jsonl").read_text().splitlines()]
    assert len(lines) == 200
    for i in range(4):
        assert [line["number"] for line in lines if line["writer"] == str(i)] == list(range(50))


def test_append_keeps_earlier_lines(tmp_path):
    ledger = Ledger(tmp_path / "outputs").append({"a": 1})
    before = ledger.path.read_bytes()
    ledger.append({"b": 2}, {"c": 3})
    assert ledger.path.read_bytes().startswith(before)
    assert ledger.entries() == ([{"a": 1}, {"b": 2}, {"c": 3}], 0)


def test_a_truncated_line_does_not_affect_others(tmp_path):
    ledger = Ledger(tmp_path).append({"a": 1})
    with ledger.path.open("a") as file:
        file.write('{"b": ')
    ledger.append({"c": 3})
    assert ledger.entries() == ([{"a": 1}, {"c": 3}], 1)
    assert ledger.history(about()).damaged == 1


def test_history_counts_earlier_scores_of_a_recipe(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.history(about()) == History(0, 0, 0, 0)
    others = {"pixels_sha256": "others"}
    for one in (about(), about("m2"), about("m3", "r2"), about(images=others)):
        ledger.append(make_entry(one, {"accuracy": 0.5}))
    assert ledger.history(about()) == History(same_model=1, same_recipe=2, recipes=2, damaged=0)
    assert ledger.history(about("new", "new")) == History(0, 0, 2, 0)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write anywhere")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FerError, match="must be recorded here"):
        Ledger(tmp_path).append({})


def test_ledger_path_is_a_folder(tmp_path):
    (tmp_path / "test_ledger.jsonl").mkdir()
    with pytest.raises(FerError, match="must be recorded here"):
        Ledger(tmp_path).append({})


def test_test_images_are_recognized_among_other_images(tmp_path):
    everything = about(images={"pixels_sha256": "all of the set", "count": 100})
    everything = replace(everything, test_images="images")
    ledger = Ledger(tmp_path).append(make_entry(everything, {}))
    assert ledger.history(about()) == History(1, 1, 1, 0)
    assert Ledger(tmp_path).append(make_entry(about(), {})).history(everything).same_model == 2


@pytest.mark.parametrize(("fraction", "is_same"), [(1.0, True), (0.2, True), (0.02, False)])
def test_test_images_are_recognized_in_another_order_and_in_part(fraction, is_same, tmp_path):
    images, others = ([f"{word}{number}".encode() for number in range(3000)] for word in "ab")
    first = replace(about(), test_marks=tuple(make_sketch(images)))
    shared = int(fraction * 3000)
    sketch = tuple(make_sketch([*others[shared:], *images[:shared]]))
    second = replace(about(images={"pixels_sha256": "elsewhere"}), test_marks=sketch)
    assert Ledger(tmp_path).append(make_entry(first, {})).history(second).same_recipe == is_same


def test_scores_of_members_count_for_their_ensemble(tmp_path):
    ledger = Ledger(tmp_path).append(make_entry(about("a"), {}), make_entry(about("b", "other"), {}))
    together = replace(about("joint", "joint"), members=(about("a"), about("b", "other")))
    assert ledger.history(together) == History(2, 2, 2, 0)
