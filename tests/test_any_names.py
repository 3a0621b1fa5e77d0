"""Any Unicode text as the name of a run, a folder, a class or an image works from training to prediction."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_layouts import save

import fer
from fer.core.errors import FerError
from fer.core.names import quoted
from fer.evaluation.output import print_scores
from fer.predict.cli import main as predict_main

pytestmark = pytest.mark.slow
OPTIONS = (
    "datamodule=folder", "datamodule.val_fraction=0.25", "model=fast_cnn_inner", "trainer.max_epochs=1",
    "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]", "datamodule.batch_size=8", "logger=all",
)  # fmt: skip
CLASSES, IMAGES = ("angry", "happy", "sad"), 8
# A name, and a text for the folders and files.
HARD = (
    ("lr=0.1, é $\\frac$", "lr=0.1, é $\\frac$"),
    ("100%\n#?* 表情 🙂", "100%\n#?* 表情 🙂"),
    ("file://a [/b]:smile:", "*"),
    ("../" + "x" * 130, "x" * 130),
    ("x", "a::b"),
)


def is_file_name(text: str) -> bool:
    """Return whether text can be a file name; those that start with a dot are hidden, and are not read."""
    return text[:1] not in ("", ".") and not {"/", "\0"} & set(text) and len(text.encode()) < 200


def write_data(root: Path, folder: str, image: str) -> Path:
    """Write images with a name, in a folder with a name in each class."""
    rng = np.random.default_rng(0)
    for number, emotion in enumerate(CLASSES):
        for i in range(IMAGES):
            pixels = (rng.integers(0, 60, (48, 48)) + 60 * number).astype(np.uint8)
            save(root / "train" / emotion / folder / f"{image}{i}.png", pixels)
    shutil.copytree(root / "train", root / "test")
    return root


def check(root: Path, name: str, output_dir: str, folder: str, image: str) -> None:
    """Train, evaluate, export and predict with these names."""
    data = write_data(root / f"{output_dir} data", folder, image)
    paths = {"output_dir": root / output_dir, "datamodule.path": data}
    overrides = [f"{key}={quoted(str(path))}" for key, path in paths.items()]
    if "::" in output_dir:
        with pytest.raises(FerError, match="output_dir: expected a path"):
            fer.train(*OPTIONS, *overrides)
        assert not (root / output_dir).exists()
        return
    run = fer.train(*OPTIONS, *overrides, f"name={quoted(name)}")
    assert run.record.status == "finished"
    assert run.folder.parents[2] == root / output_dir
    assert run.config.name == name
    assert list(run.folder.glob("wandb/*run-*/*.wandb"))
    assert list(run.folder.glob("tensorboard/events*"))
    assert (run.folder / "plots" / "confusion_matrix.png").stat().st_size > 1000
    print_scores(fer.evaluate(run, split="val"))
    model = fer.export(run).folder
    images = sorted(map(str, (data / "test" / "sad" / folder).iterdir()))
    outputs = ("--json", str(root / "p.json"), "--annotate", str(root / "annotated"))
    with pytest.raises(SystemExit, match="0"):
        predict_main([*images, "--model", str(model), "--detector", "none", *outputs])
    lines = [json.loads(line) for line in (root / "p.json").read_text(encoding="utf-8").splitlines()]
    assert [line["file"] for line in lines] == images
    assert len(list((root / "annotated").rglob("*.png"))) == IMAGES


def check_in_temporary_folder(**names: str) -> None:
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stderr(output):
        check(Path(root).resolve(), **names)
    assert "WARNING" not in output.getvalue()


@pytest.mark.parametrize(("name", "part"), HARD)
def test_hard_names(name, part):
    check_in_temporary_folder(name=name, output_dir=part, folder=part, image=part)


file_names = st.text(min_size=1, max_size=30).filter(is_file_name)


@settings(max_examples=2, deadline=None, database=None)
@given(name=st.text(max_size=200), output_dir=file_names, folder=file_names, image=file_names)
def test_any_names(name, output_dir, folder, image):
    check_in_temporary_folder(name=name, output_dir=output_dir, folder=folder, image=image)
