"""The scripts run and print their results."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(script, *arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FER_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, ROOT / "scripts" / script, *map(str, arguments)]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture
def fer2013_csv(tmp_path):
    """Write a fer2013.csv of noise: two batches of the fast recipe."""
    noise = np.random.default_rng(0)
    rows = ["emotion,pixels,Usage"]
    for number in range(300):
        pixels = " ".join(map(str, noise.integers(0, 256, 2304)))
        rows.append(f"{number % 7},{pixels},{'Training' if number < 270 else 'PublicTest'}")
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_benchmark_training(fer2013_csv, tmp_path):
    output = run("benchmark_training.py", fer2013_csv, "--epochs", 1, "--turns", 1, folder=tmp_path)
    for text in ("cached read", "images/s on one core", "median throughput ratio", "peak memory above"):
        assert text in output


@pytest.mark.slow
def test_benchmark_gpu_runs_on_the_cpu(fer2013_csv, tmp_path):
    small = (
        "model=fast_cnn_inner",
        "model.image_size=48",
        "model.kwargs.widths=[8,16]",
        "trainer.max_epochs=2",
    )
    arguments = ("--limit", 64, "--json", tmp_path / "gpu.json", *small, "model.kwargs.depths=[0,0]")
    output = run("benchmark_gpu.py", fer2013_csv, *arguments, folder=tmp_path)
    assert "No GPU was found" in output
    assert "trained on the labels alone" in output
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert results["batch_size"] == 32
    fit = results["fits"]["uncompiled"]
    assert fit["epochs"] == 2
    assert fit["images/s"] > 0
    assert fit["speed / bare loop"] > 0
    assert {"seconds to 60%", "seconds to 73%", "GPU utilisation, %"} <= fit.keys()


@pytest.mark.slow
def test_ablate_writes_the_table_into_a_page(fer2013_csv, tmp_path):
    page = tmp_path / "methods.md"
    page.write_text("above\n<!-- table -->\nold\n<!-- /table -->\nbelow\n")
    arguments = ("--only", "baseline", "no_ema", "synthetic_tuned", "--seeds", 0, "--epochs", 1)
    output = run("ablate.py", fer2013_csv.parent, *arguments, "--page", page, folder=tmp_path)
    assert "synthetic_tuned, seed 0: left out, since it needs a run of synthetic_faces" in output
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    entries = map(json.loads, (tmp_path / "docs/methods.jsonl").read_text().splitlines())
    accuracy = {entry["method"]: entry["val/accuracy"] for entry in entries}
    assert f"{100 * (accuracy['no_ema'] - accuracy['baseline']):+.1f}" in text


@pytest.mark.slow
def test_benchmark_scores(tmp_path):
    output = run("benchmark_scores.py", "--images", 100, "--resamples", 20, folder=tmp_path)
    assert "scikit-learn" in output


@pytest.mark.slow
def test_benchmark_files(tmp_path):
    arguments = ("--pictures", 3000, "--batches", 1, "--workers", 1, "--augmentation", "none")
    output = run("benchmark_files.py", *arguments, folder=tmp_path)
    for line in ("list 3,000 files", "check and carve out", "0 workers:", "1 workers, batch 1:"):
        assert line in output


def test_find_duplicates(fer2013_csv, tmp_path):
    fer2013_csv.write_text(fer2013_csv.read_text() + fer2013_csv.read_text().splitlines()[1] + "\n")
    arguments = ("datamodule=fer2013", f"datamodule.path={fer2013_csv}", "--json", tmp_path / "copies.json")
    run("find_duplicates.py", *arguments, folder=tmp_path)
    assert json.loads((tmp_path / "copies.json").read_text())["groups"] == [
        {"kind": "exact", "rows": [0, 300]}
    ]


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_help_shows_the_usage(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [script, "--help"])
    # Scripts import each other, as when they are started.
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(ROOT / "scripts" / script), run_name="__main__")
    assert "usage:" in capsys.readouterr().out
