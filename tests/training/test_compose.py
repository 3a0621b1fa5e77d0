"""The config composed by Hydra outside fer-train, in a notebook for instance."""

import hydra
import pytest
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
