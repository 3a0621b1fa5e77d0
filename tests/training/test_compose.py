"""The config composed by Hydra outside fer-train, in a notebook for instance."""

import hydra
import pytest
from omegaconf import OmegaConf

from fer.core.paths import CONFIG_DIR


@pytest.mark.parametrize("hydra_node", [False, True])
def test_compose_resolves_outside_hydra_main(hydra_node):
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose("train", ["model=resnet18", "seed=3"], return_hydra_config=hydra_node)
    name = config.name
    assert name.startswith("synthetic_resnet18_s3_")
    assert config.name == name
    # Hydra's own node needs its application.
    assert not OmegaConf.missing_keys(
        OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    )
