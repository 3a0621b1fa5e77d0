"""Answers of fer-train to a command line before training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer.core.errors import FerError
from fer.core.paths import CONFIG_DIR
from fer.training.config import RunConfig
from fer.training.overrides import choices, groups

FER_TRAIN = str(Path(sys.executable).parent / "fer-train")


def call(*arguments, cwd=None):
    return subprocess.run([FER_TRAIN, *arguments], capture_output=True, text=True, cwd=cwd, timeout=60)


def test_help_lists_every_group():
    result = call("--help")
    assert result.returncode == 0
    assert all(f"{group}:" in result.stdout for group in groups())
    assert "experiment=fer2013_fast" in result.stdout


def test_config_is_printed():
    result = call("datamodule=fer2013", "datamodule.path=x.csv", "--cfg", "job")
    assert result.returncode == 0
    assert "max_epochs" in result.stdout


def test_the_hydra_job_is_called_train():
    """Launchers such as Slurm show this name."""
    result = call("--cfg", "hydra")
    assert "\n  job:\n    name: train\n" in result.stdout


def test_printing_the_config_does_not_import_torch():
    code = (
        "import sys, fer.training.hydra_app; sys.argv = ['fer-train', '--cfg', 'job']\n"
        "try: fer.training.hydra_app.main()\nexcept SystemExit: pass\n"
        "print({'torch', 'pytorch_lightning', 'wandb', 'albumentations'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "set()"


BAD = {
    "optimzer=adam": "Unknown option 'optimzer'. Did you mean 'optimizer'?",
    "optimizer=adm": "got 'adm'. Did you mean 'adam'?",
    "trainer.max_epoch=3": "Unknown option 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?",
    "optimizer.lrr=1": "Unknown option 'optimizer.lrr'. Did you mean 'optimizer.lr'?",
    "+loss.smoothing=0.1": "Unknown option 'loss.smoothing'.",
    "optimizer.lr=abc": "optimizer.lr: expected a number of at least 0, got 'abc'.",
    "trainer.max_epochs=0": "trainer.max_epochs: expected an integer of at least 1, got 0.",
    "datamodule.batch_size=0": "datamodule.batch_size: expected an integer of at least 1, got 0.",
    "ema_decay=abc": "ema_decay: expected a number in (0, 1), got 'abc'.",
    "progressive=40": "progressive: expected [[fraction of the epochs, px], …]",
    "monitor=null": "monitor: expected a validation metric",
    "monitor=test/accuracy": "The test split must not select a checkpoint",
    "monitor=val/acuracy": "Did you mean 'val/accuracy'?",
    "datamodule=fer2013": "datamodule.path: expected a value, got none. Add datamodule.path=…",
    "datamodule.size=~/x": "write $HOME for ~",
    "epochs": "Options are written key=value",
    "loss={foo:3}": "Unknown option 'loss.foo'.",
    "lr=0.1": "Unknown option 'lr'. Write optimizer.lr=0.1.",
    "model=resnet34": "It is a model of timm: write model=timm model.name=resnet34.",
    "experiment=fer2013_fst": "Did you mean 'fer2013_fast'?",
    "-m --cfg=job": "Only one of --run, --multirun, --cfg,",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_option_gives_a_one_line_error(arguments, fer_train, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert fer_train(*arguments.split()).status == 2
    error = capfd.readouterr().err
    assert BAD[arguments] in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("outputs/train/*/*"))


def test_a_process_prints_no_more_than_its_error(tmp_path):
    result = call("optimizer=adm", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert BAD["optimizer=adm"] in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_tab_completion():
    line = "fer-train callbacks=s"
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = [FER_TRAIN, "-sc", "query=bash"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert result.stdout.split() == ["callbacks=swa"]
    assert "-F hydra_bash_completion fer-train" in call("-sc", "install=bash").stdout


def test_output_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    result = call(f"output_dir={tmp_path}/file/outputs")
    assert result.returncode == 2
    assert "file/outputs" in result.stderr
    assert "output_dir=" in result.stderr
    assert "Traceback" not in result.stderr


def test_choices_are_the_files():
    assert "synthetic" in choices("datamodule")
    assert {f.parent.name for f in CONFIG_DIR.glob("*/*.yaml")} == set(groups())


def with_sources(sources):
    data = {"name": "concat", "sources": sources}
    values = {"model": {"name": "fast_cnn", "image_size": 32}, "datamodule": data}
    return RunConfig.from_dict(values).data.to_dict()


def test_sources_have_their_default_options():
    first, second = with_sources(
        [{"name": "ferplus", "path": "x", "contempt": False}, {"name": "folder", "path": "y"}]
    )["sources"]
    assert first == {"name": "ferplus", "path": "x", "contempt": False, "ambiguous": False}
    # The value of model.image_size.
    assert second["size"] == 32
    assert "batch_size" not in second


BAD_SOURCES = [
    ("fer2013", "datamodule.sources: expected 'datamodule.sources=[{name: fer2013"),
    ([], "datamodule.sources: expected"),
    (["fer2013"], "entry 1: expected a name (affectnet, "),
    ([{"path": "x"}], "entry 1: expected a name"),
    ([{"name": "fer2014"}], "Did you mean 'fer2013'?"),
    ([{"name": "concat"}], "entry 1: expected a name"),
    ([{"name": "synthetic"}, {"name": "fer2013"}], "entry 2: fer2013 needs path."),
    (
        [{"name": "ferplus", "path": "x", "contemp": 1}],
        "expected options of ferplus (name, landmarks, path, contempt, ambiguous), got 'contemp'.",
    ),
    ([{"name": "fer2013", "path": "x", "batch_size": 8}], "got 'batch_size'"),
]


@pytest.mark.parametrize(("sources", "message"), BAD_SOURCES, ids=str)
def test_bad_sources(sources, message):
    with pytest.raises(FerError) as caught:
        with_sources(sources)
    assert message in str(caught.value)
