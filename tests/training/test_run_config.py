"""The typed config: equal to what Hydra composes, and one clear line for each mistake."""

import json

import hydra
import pytest
from omegaconf import OmegaConf

from fer.core.config import Config
from fer.core.errors import FerError
from fer.core.paths import CONFIG_DIR
from fer.data.augment_config import AugmentationConfig
from fer.models.config import AttentionConfig, ModelConfig
from fer.training.config import RunConfig
from fer.training.overrides import ACTIONS, choices, groups, to_run_config
from fer.training.recipe import ImbalanceConfig, LossConfig, MixConfig, OptimizerConfig, SchedulerConfig

CONFIGS = [(group, choice) for group in groups() if group != "sweep" for choice in choices(group)]
REQUIRED = {
    ("model", "timm"): ["model.name=resnet18"],
    ("optimizer", "timm"): ["optimizer.name=lamb"],
    ("datamodule", "concat"): ["datamodule.sources=[{name: synthetic, num_train: 70, difficulty: 0}]"],
}
BY_NAME = {
    "model": ModelConfig, "attention": AttentionConfig, "loss": LossConfig, "imbalance": ImbalanceConfig,
    "optimizer": OptimizerConfig, "scheduler": SchedulerConfig, "mix": MixConfig,
    "augmentation": AugmentationConfig,
}  # fmt: skip


def compose(*overrides):
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose("train", ["name=x", *overrides])


def compose_choice(group, choice):
    required = REQUIRED.get((group, choice), [])
    config = compose(f"{group}={choice}", *required)
    if OmegaConf.is_missing(config.datamodule, "path"):
        config.datamodule.path = "/data"
    return config


# Options that are true unless they are set, and stored only if they are false.
UNSET = {"samples": True, "plots": True, "console": True}


def without_unset(values, typed):
    """Return composed values without those that a stored config leaves out because they are not set."""
    return {
        key: without_unset(value, typed[key]) if isinstance(value, dict) and key in typed else value
        for key, value in values.items()
        if key in typed or value != UNSET.get(key, value if value in (None, [], False) else ...)
    }


@pytest.mark.parametrize(("group", "choice"), CONFIGS)
def test_typed_config_has_the_values_of_the_composed_one(group, choice):
    config = compose_choice(group, choice)
    values, typed = OmegaConf.to_container(config, resolve=True), to_run_config(config).to_dict()
    for action in ACTIONS:
        values.pop(action, None)
    # Without a teacher there is no distillation.
    assert values.pop("distill")["teachers"] == []
    if choice == "concat":
        # Missing options of a source get their defaults.
        assert typed["datamodule"].pop("sources")[0].items() >= values["datamodule"].pop("sources")[0].items()
    if choice == "fer2013_swept":
        # Options of another scheduler, which the experiment that it extends has set.
        del values["scheduler"]["div_factor"], values["scheduler"]["final_div_factor"]
    values = without_unset(values, typed)
    assert json.dumps(typed, sort_keys=True) == json.dumps(values, sort_keys=True)
    assert list(typed) == list(values)


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group, choice in CONFIGS if group in BY_NAME and choice != "timm"],
)
def test_a_name_in_python_is_the_choice_of_the_command_line(group, choice):
    assert BY_NAME[group].of(choice) == getattr(to_run_config(compose_choice(group, choice)), group)


@pytest.mark.parametrize(
    ("group", "choice"), [(g, c) for g, c in CONFIGS if g in ("attention", "scheduler", "loss")]
)
def test_declared_defaults_are_those_of_the_config_files(group, choice):
    composed = getattr(to_run_config(compose_choice(group, choice)), group)
    assert BY_NAME[group].from_dict({"name": composed.name}) == composed


def test_plain_values_are_read_back():
    config = to_run_config(compose("attention=cbam", "optimizer=sgd", "logger=wandb"))
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_integers_stay_integers():
    config = RunConfig(model={"name": "fast_cnn"}, augmentation={"rotation": 8, "scale": 0.5})
    assert json.dumps(config.to_dict()["augmentation"]).startswith(
        '{"flip": 0.0, "rotation": 8, "scale": 0.5'
    )


def test_replace_checks_and_keeps_the_original():
    config = RunConfig(model={"name": "fast_cnn"})
    assert config.replace(seed=3).seed == 3
    assert config.seed == 0
    with pytest.raises(FerError, match=r"seed: expected an integer in"):
        config.replace(seed=-1)


class Inner(Config):
    key = "outer.inner"
    number: int = 0


class Outer(Config):
    inner: Inner = Inner()
    flag: bool | None = None


BAD = [
    ({"inner": {"number": "a"}}, "outer.inner.number: expected an integer, got 'a'."),
    ({"inner": {"number": True}}, "outer.inner.number: expected an integer, got True."),
    ({"inner": {"nummer": 1}}, "outer.inner: expected the keys number, got 'nummer'. Did you mean 'number'?"),
    ({"inner": 3}, "inner: expected options by name, got 3."),
    ({"flag": "no"}, "flag: expected true or false or null, got 'no'."),
    ({"flagg": True}, "config: expected the keys inner, flag, got 'flagg'. Did you mean 'flag'?"),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_mistakes_are_one_line(values, message):
    with pytest.raises(FerError) as caught:
        Outer.from_dict(values)
    assert str(caught.value) == message
