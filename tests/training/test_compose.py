"""The config composed by Hydra outside fer-train, in a notebook for instance."""

import hydra
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fer.core.paths import CONFIG_DIR
from fer.training.overrides import check_additions


@pytest.mark.parametrize("hydra_node", [False, True])
def test_compose_resolves_outside_hydra_main(hydra_node, monkeypatch):
    # An application of an earlier test in this process.
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", ["model=resnet18", "seed=3"], return_hydra_config=hydra_node)
    name = config.name
    assert name.startswith("synthetic_resnet18_s3_")
    assert config.name == name
    # Hydra's own node needs its application.
    assert not OmegaConf.missing_keys(
        OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    )


def test_python_without_arguments_finds_the_config(monkeypatch):
    """In a notebook, or a script that is called without arguments, ``sys.argv`` has one entry or none."""
    for arguments in ([], ["script.py"]):
        monkeypatch.setattr("sys.argv", arguments)
        check_additions(["+optimizer.amsgrad=true"])


@pytest.fixture
def compositions(monkeypatch):
    """The overrides of each composition."""
    found, original = [], ConfigLoaderImpl.load_configuration

    def load(*arguments, overrides, **options):
        found.append(list(overrides))
        return original(*arguments, overrides=overrides, **options)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", load)
    return found


def test_a_run_composes_once(fer_train, compositions):
    """It takes half of the time until a wrong option is reported."""
    assert fer_train("model.image_size=x").status == 2
    assert len(compositions) == 1


def test_an_experiment_may_turn_a_run_into_several(fer_train, tmp_path, capsys):
    lines = ("# @package _global_", "hydra: {mode: MULTIRUN, sweeper: {params: {seed: 'x,y'}}}")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("\n".join(lines))
    assert fer_train("experiment=mine", "hydra/sweeper=basic", "--config-dir", str(tmp_path)).status == 2
    assert "seed: expected an integer in [0, 4294967296), got 'x'" in capsys.readouterr().err
