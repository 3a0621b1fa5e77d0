"""Who may import whom: `labels` and `errors` on the ground, the rest in layers above."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "fer").rglob("*.py"))
GROUND = {"config_dir", "emotion_colors", "errors", "labels", "pixels", "places"}
# Room -> rooms of ours that it may use besides the ground and itself.
ALLOWED = {
    "config_dir": set(),
    "emotion_colors": set(),
    "errors": set(),
    "labels": set(),
    "pixels": set(),
    "places": set(),
    "cli": set(),
    "data": {"picture"},
    "models": set(),
    "losses": set(),
    "mixing": set(),
    "muon": set(),
    "sam": set(),
    "metrics": set(),
    "monitor": set(),
    "launchers": set(),
    "analysis": set(),
    "optim": {"monitor", "muon", "sam"},
    "module": {"losses", "metrics", "mixing", "models", "optim", "sam"},
    "checkpoint": {"models"},
    "fitting_options": {"data", "module"},
    "training": {
        "analysis",
        "checkpoint",
        "data",
        "fitting_options",
        "models",
        "module",
        "monitor",
        "optim",
    },
    "option_values": set(),
    "options": {"launchers", "option_values"},
    "sweep": {"data", "monitor", "option_values", "options", "training"},
    "sweep_reporting": {"analysis", "evaluating", "sweep", "training"},
    "sweep_report": {"cli", "sweep_reporting"},
    "train": {"cli", "options", "sweep", "training"},
    "train_cli": {"cli", "train"},
    "scoring": {"analysis", "checkpoint", "data"},
    "evaluating": {"analysis", "data", "faces", "models", "scoring", "training"},
    "evaluate": {"cli", "evaluating"},
    "compare": {"analysis", "cli", "evaluating"},
    "bundle": set(),
    "exporting": {
        "analysis",
        "bundle",
        "checkpoint",
        "data",
        "evaluating",
        "faces",
        "models",
        "scoring",
        "training",
    },
    "export": {"bundle", "cli", "exporting"},
    "models_cli": {"bundle", "cli"},
    "jpeg": set(),
    "picture": {"jpeg", "pixels"},
    "faces": {"bundle"},
    "prediction": {"faces"},
    "annotate": {"prediction"},
    "predict": {"bundle", "faces", "picture", "prediction"},
    "video": {"annotate", "faces", "predict"},
    "predicting": {"annotate", "bundle", "picture", "predict", "prediction", "video"},
    "predict_cli": {"cli", "predicting"},
    "explaining": {"bundle"},
    "app": {
        "annotate",
        "bundle",
        "cli",
        "data",
        "explaining",
        "faces",
        "picture",
        "pixels",
        "predict",
        "prediction",
        "video",
    },
    "app_cli": {"app", "cli"},
}
HYDRA = {"option_values", "options", "sweep", "train"}
HEAVY = {"wandb", "albumentations", "tensorboard"}  # imported where they are used, never at the top


def room(path):
    return path.relative_to(ROOT / "fer").parts[0].removesuffix(".py")


def imports(path, top_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_rooms(path):
    own = room(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("fer.")}
    if own != "__init__":
        assert used - GROUND - {own} <= ALLOWED[own]
    assert own in HYDRA or not any(name.split(".")[0] in {"hydra", "omegaconf"} for name in imports(path))
    assert not HEAVY & {name.split(".")[0] for name in imports(path, top_only=True)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 250


TORCHLESS = (
    "fer.labels", "fer.data.fer2013", "fer.data.synthetic", "fer.analysis.plots", "fer.annotate",
    "fer.faces.choose", "fer.faces.crop", "fer.predict", "fer.predicting.sources", "fer.bundle.registry",
    "fer.video", "fer.app.views.upload", "fer.app.views.compare", "fer.app.live", "fer.explaining.why",
)  # fmt: skip


@pytest.mark.parametrize("module", TORCHLESS)
def test_these_load_without_torch(module):
    code = f"import sys, {module}; print(bool({{'torch', 'pytorch_lightning', 'hydra'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_nothing_private_is_told():
    """A registry's host or a path of one machine has no place in what others clone."""
    words = ["pythonhos" + "ted", "pypi" + ".org", "/wo" + "rk/", "/ho" + "me/"]
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = {name: (ROOT / name).read_text(errors="ignore") for name in listed if (ROOT / name).is_file()}
    assert not [(name, word) for name, text in texts.items() for word in words if word in text]
