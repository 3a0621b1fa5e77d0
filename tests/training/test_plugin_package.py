"""tests/plugin_package, installed in its own environment: train, sweep, evaluate, export and predict."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from fer.predict.cli import main as predict_main

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tests" / "plugin_package"
PARTS = (
    "model=tiny_net", "attention=gate", "loss=poly", "optimizer=heavy_sgd", "scheduler=poly_decay",
    "augmentation=noise", "datamodule=stripes", "monitor=val/top2", "callbacks=say",
)  # fmt: skip
SHORT = ("trainer.max_epochs=1", "datamodule.batch_size=16")
# In one process, as their imports take longer than they do.
SCORE_AND_EXPORT = """
import sys
from fer.evaluation.cli import evaluate_main
from fer.export.cli import main
try:
    evaluate_main([sys.argv[1], "--split", "val"])
except SystemExit as end:
    assert not end.code, end.code
main(sys.argv[1:])
"""
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("plugin_package")]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with the package of this checkout, its libraries, and the plugin."""
    folder = tmp_path_factory.mktemp("plugin") / "env"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
    found = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "base.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    # A build leaves nothing in the checkout.
    copy = shutil.copytree(PACKAGE, folder.parent / "package", ignore=shutil.ignore_patterns("__pycache__"))
    command = ["uv", "pip", "install", "--quiet", "--no-deps", "--python", found, copy]
    subprocess.run(command, check=True, timeout=200)
    return found


def call(python, folder, module, *arguments):
    """Return status and output of a command, which may also be code in several lines."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "FER_PLUGINS")
    }
    command = [python, "-c" if "\n" in module else "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(python, tmp_path_factory):
    """A run with all parts, for which nothing but their names was typed; and its output."""
    folder = tmp_path_factory.mktemp("run")
    options = ("loss.epsilon=0.5", "model.kwargs.width=12", "callbacks.say.text=done", "hydra.run.dir=run")
    status, output = call(python, folder, "fer.training.cli", *PARTS, *SHORT, *options)
    assert status == 0, output
    return folder / "run", output


def test_names_of_an_installed_plugin_are_choices(trained):
    run, output = trained
    assert "say      done" in output
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["plugins"] == ["fer_plugin_example.parts"]
    assert config["loss"] == {"name": "poly", "label_smoothing": 0.0, "epsilon": 0.5}
    assert config["optimizer"]["momentum"] == 0.9
    best = json.loads((run / "run.json").read_text())["best"]
    assert best["val/top2"] >= best["val/accuracy"]


def test_scores_exports_and_predicts(python, trained, monkeypatch):
    run, _ = trained
    status, output = call(python, run.parent, SCORE_AND_EXPORT, run)
    assert status == 0, output
    assert (run / "report" / "val" / "metrics.json").is_file()
    cv2.imwrite(str(run.parent / "face.png"), np.full((60, 60), 128, np.uint8))
    # The bundle needs no plugin: this process has none.
    monkeypatch.chdir(run.parent)
    options = ("--model", str(run / "bundle"), "--detector", "none", "--json", "faces.json")
    with pytest.raises(SystemExit, match="0"):
        predict_main(["face.png", *options])
    assert "face.png" in (run.parent / "faces.json").read_text()


def test_without_the_plugin_its_module_is_named_and_not_imported(trained, fer_evaluate):
    run, _ = trained
    status, _, error = fer_evaluate(run, "--split", "val")
    assert status == 2
    assert "model=tiny_net needs a plugin that is not loaded: fer_plugin_example.parts." in error
    assert "--plugins fer_plugin_example.parts" in error
    assert "fer_plugin_example" not in sys.modules


def test_a_sweep_imports_it_in_its_worker(python, tmp_path):
    space = "sweep.space={model.kwargs.width: [8, 12]}"
    options = ("sweep=custom", space, "sweep.n_trials=2", "sweep.pruner.name=none", "sweep.jobs=1")
    command = ("-m", *PARTS, *SHORT, *options, "hydra/launcher=submitit_local")
    status, output = call(python, tmp_path, "fer.training.cli", *command)
    assert status == 0, output
    assert "2 finished, 0 pruned, 0 failed" in output
    for trial in (0, 1):
        config = yaml.safe_load((tmp_path / f"outputs/multirun/custom/{trial}/config.yaml").read_text())
        assert config["plugins"] == ["fer_plugin_example.parts"]
