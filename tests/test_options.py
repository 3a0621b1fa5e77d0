"""What fer-train answers to a command line before any training: as a process, since the time counts too."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fer.errors import FerError
from fer.options import CONFIG_DIR, choices, complete_sources, groups

FER_TRAIN = str(Path(sys.executable).parent / "fer-train")


def call(*words, cwd=None):
    return subprocess.run([FER_TRAIN, *words], capture_output=True, text=True, cwd=cwd, timeout=60)


def test_help_names_every_choice():
    result = call("--help")
    assert result.returncode == 0
    assert all(f"{group}:" in result.stdout for group in groups())
    assert "experiment=fer2013_fast" in result.stdout


def test_config_is_shown():
    result = call("datamodule=fer2013", "datamodule.path=x.csv", "--cfg", "job")
    assert result.returncode == 0
    assert "max_epochs" in result.stdout


def test_neither_loads_torch():
    code = (
        "import sys, fer.train; sys.argv = ['fer-train', '--cfg', 'job']\n"
        "try: fer.train.main()\nexcept SystemExit: pass\n"
        "print({'torch', 'pytorch_lightning', 'wandb', 'albumentations'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "set()"


BAD = {
    "optimzer=adam": "Unknown option 'optimzer'. Did you mean 'optimizer'?",
    "optimizer=adm": "there is no such optimizer. Did you mean 'adam'?",
    "trainer.max_epoch=3": "Unknown option 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?",
    "optimizer.lrr=1": "Unknown option 'optimizer.lrr'. Did you mean 'optimizer.lr'?",
    "+loss.smoothing=0.1": "Unknown option 'loss.smoothing'.",
    "optimizer.lr=abc": "optimizer.lr: expected a number, got 'abc'.",
    "trainer.max_epochs=0": "trainer.max_epochs: expected a number of at least 1, got 0.",
    "datamodule.batch_size=0": "datamodule.batch_size: expected a number of at least 1, got 0.",
    "ema_decay=abc": "ema_decay: expected a number, got 'abc'.",
    "progressive=40": "progressive: expected [[share of the epochs, px], …]",
    "monitor=null": "monitor: expected a validation metric",
    "monitor=test/accuracy": "the test split must not choose a checkpoint",
    "monitor=val/acuracy": "Did you mean 'val/accuracy'?",
    "datamodule=fer2013": "datamodule.path is not set. Add datamodule.path=… to the command.",
    "datamodule.size=~/x": "write $HOME for ~",
    "epochs": "Options are written key=value",
    "experiment=fer2013_fst": "Did you mean 'fer2013_fast'?",
    "-m --cfg=job": "Only one of --run, --multirun, --cfg,",
}


@pytest.mark.parametrize("word", BAD)
def test_a_bad_option_gets_one_clear_line(word, tmp_path):
    result = call(*word.split(), cwd=tmp_path)
    assert result.returncode == 2
    assert BAD[word] in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("outputs/train/*/*"))


def test_output_folder_that_cannot_be_made(tmp_path):
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
    return OmegaConf.create(
        {"model": {"image_size": 32}, "datamodule": {"name": "concat", "sources": sources}}
    )


def test_sources_are_completed_from_their_own_files():
    config = with_sources(
        [{"name": "ferplus", "path": "x", "contempt": False}, {"name": "folder", "path": "y"}]
    )
    complete_sources(config)
    first, second = OmegaConf.to_container(config, resolve=True)["datamodule"]["sources"]
    assert first == {"name": "ferplus", "path": "x", "contempt": False, "ambiguous": False}
    assert second["size"] == 32  # as model.image_size
    assert "batch_size" not in second


def test_other_data_has_no_sources():
    config = OmegaConf.create({"datamodule": {"name": "synthetic"}})
    complete_sources(config)
    assert config == {"datamodule": {"name": "synthetic"}}


BAD_SOURCES = [
    ("fer2013", "datamodule.sources: expected 'datamodule.sources=[{name: fer2013"),
    ([], "datamodule.sources: expected"),
    (["fer2013"], "number 1: expected a name (affectnet, "),
    ([{"path": "x"}], "number 1: expected a name"),
    ([{"name": "fer2014"}], "Did you mean 'fer2013'?"),
    ([{"name": "concat"}], "number 1: expected a name"),
    ([{"name": "synthetic"}, {"name": "fer2013"}], "number 2: fer2013 needs path."),
    ([{"name": "ferplus", "path": "x", "contemp": 1}], "'contemp' but name, path, contempt, ambiguous."),
    ([{"name": "fer2013", "path": "x", "batch_size": 8}], "fer2013 has no option 'batch_size'"),
]


@pytest.mark.parametrize(("sources", "words"), BAD_SOURCES, ids=str)
def test_bad_sources(sources, words):
    with pytest.raises(FerError) as caught:
        complete_sources(with_sources(sources))
    assert words in str(caught.value)
