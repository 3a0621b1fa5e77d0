"""FER2013 with the votes of FER+, if these are in the same folder."""

import csv
import shutil

import numpy as np
import pytest

from fer.core.labels import FER7, FERPLUS8
from fer.data.config import FER2013Config, FolderConfig
from fer.data.readers.fer2013 import read_fer2013
from fer.data.readers.ferplus import with_votes


@pytest.fixture
def folder(tmp_path, fer2013_csv):
    for name in ("fer2013.csv", "fer2013new.csv"):
        shutil.copy(fer2013_csv.with_name(name), tmp_path / name)
    return tmp_path


def test_votes_match_the_file(folder):
    options = {"name": "fer2013", "path": str(folder / "fer2013.csv")}
    data = with_votes(read_fer2013(options["path"]), FER2013Config(**options))
    for row, line in enumerate(csv.DictReader((folder / "fer2013new.csv").open())):
        counts = {
            name: int(line[column]) for name, column in zip(FERPLUS8.names, list(line)[2:10], strict=True)
        }
        counts = {name: n if n > 1 else 0 for name, n in counts.items() if name in FER7.names}
        expected = np.array([counts[name] for name in FER7.names]) / max(1, sum(counts.values()))
        np.testing.assert_allclose(data.votes[row], expected, atol=1e-6)


@pytest.mark.parametrize("damage", ["missing", "truncated", "other format"])
def test_missing_or_mismatched_votes_are_ignored(folder, capsys, damage):
    votes, options = folder / "fer2013new.csv", {"name": "fer2013", "path": str(folder / "fer2013.csv")}
    if damage == "missing":
        votes.unlink()
    elif damage == "truncated":
        votes.write_text("\n".join(votes.read_text().splitlines()[:-40]))
    else:
        votes.write_text("a,b\n1,2\n")
    assert with_votes(read_fer2013(options["path"]), FER2013Config(**options)).votes is None
    assert ("not used" in capsys.readouterr().out) == (damage != "missing")


def test_other_datasets_are_unchanged(folder):
    data = read_fer2013(folder / "fer2013.csv")
    assert with_votes(data, FolderConfig(path=str(folder))) is data
