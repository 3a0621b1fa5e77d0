"""The scripts run to their end and print what they promise: a benchmark that rots measures nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(script, *words, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FER_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, ROOT / "scripts" / script, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def fer2013_csv(tmp_path):
    """Noise, two batches of the fast recipe."""
    noise = np.random.default_rng(0)
    rows = ["emotion,pixels,Usage"]
    for number in range(300):
        pixels = " ".join(map(str, noise.integers(0, 256, 2304)))
        rows.append(f"{number % 7},{pixels},{'Training' if number < 270 else 'PublicTest'}")
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_benchmark_of_training_prints_each_ratio(fer2013_csv, tmp_path):
    output = run("benchmark_training.py", fer2013_csv, "--epochs", 1, "--turns", 1, folder=tmp_path)
    for words in ("cached read", "images/s on one core", "median throughput ratio", "peak memory above"):
        assert words in output


def test_table_of_methods_goes_into_a_page(fer2013_csv, tmp_path):
    page = tmp_path / "methods.md"
    page.write_text("above\n<!-- table -->\nold\n<!-- /table -->\nbelow\n")
    words = ("--only", "baseline", "no_ema", "drawn_tuned", "--seeds", 0, "--epochs", 1, "--page", page)
    output = run("ablate.py", fer2013_csv.parent, *words, folder=tmp_path)
    assert "drawn_tuned, seed 0: left out, since it starts from a run of drawn_faces" in output
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    entries = map(json.loads, (tmp_path / "docs/methods.jsonl").read_text().splitlines())
    accuracy = {entry["method"]: entry["val/accuracy"] for entry in entries}
    assert f"{100 * (accuracy['no_ema'] - accuracy['baseline']):+.1f}" in text


def test_benchmark_of_scores(tmp_path):
    output = run("benchmark_scores.py", "--images", 100, "--resamples", 20, folder=tmp_path)
    assert "scikit-learn" in output


def test_benchmark_of_files(tmp_path):
    words = ("--pictures", 3000, "--batches", 1, "--workers", 1, "--augmentation", "none")
    output = run("benchmark_files.py", *words, folder=tmp_path)
    for line in ("list 3,000 files", "check and carve out", "0 workers:", "1 workers, batch 1:"):
        assert line in output


def test_copies_are_found(fer2013_csv, tmp_path):
    fer2013_csv.write_text(fer2013_csv.read_text() + fer2013_csv.read_text().splitlines()[1] + "\n")
    words = ("datamodule=fer2013", f"datamodule.path={fer2013_csv}", "--json", tmp_path / "copies.json")
    run("find_duplicates.py", *words, folder=tmp_path)
    assert json.loads((tmp_path / "copies.json").read_text())["groups"] == [
        {"kind": "exact", "rows": [0, 300]}
    ]


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_help_says_what_to_type(script, tmp_path):
    assert "usage:" in run(script, "--help", folder=tmp_path)
