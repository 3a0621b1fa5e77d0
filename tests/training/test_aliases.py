"""Options of other projects are answered with what to write here."""

import re

import pytest

from fer.training import aliases
from fer.training.aliases import alias_advice, choice_advice, timm_advice
from fer.training.overrides import flatten, groups

ANSWERS = {
    "lr=0.1": "Write optimizer.lr=0.1.",
    "epochs=3": "Write trainer.max_epochs=3.",
    "batch_size=64": "Write datamodule.batch_size=64.",
    "data=fer2013": "Write datamodule=fer2013.",
    "data=/data/fer2013.csv": "Write datamodule.path=/data/fer2013.csv.",
    "weight_decay=0.1": "Write optimizer.weight_decay=0.1.",
    "gpus=2": "Write trainer.accelerator=gpu trainer.devices=2.",
    "device=0,1": "Write trainer.accelerator=gpu trainer.devices=[0,1].",
    "max_epochs=3": "Write trainer.max_epochs=3.",
    "arch=resnet18": "Write model=resnet18.",
    "arch=resnet34": "Write model=timm model.name=resnet34.",
    "wandb=true": "Write logger=wandb, with options logger.wandb.NAME.",
    "precision=16-mixed": "Write trainer.precision=16-mixed.",
    "pretrained=true": "Write model.pretrained=true.",
}


@pytest.fixture(scope="module")
def known():
    from test_run_config import compose

    return list(flatten(compose()))


@pytest.mark.parametrize("item", ANSWERS)
def test_aliases(item, known):
    key, _, value = item.partition("=")
    assert alias_advice(key, value, known) == ANSWERS[item]


@pytest.mark.parametrize("key", ["ckpt_path", "workers", "num_classes", "train"])
def test_names_without_an_option_are_explained(key, known):
    assert alias_advice(key, "x", known)


def test_choices_and_options_of_callbacks_are_explained(known):
    assert choice_advice("callbacks", "early_stopping") == " Write early_stopping_patience=…."
    assert choice_advice("callbacks", "swa2") == ""
    assert "RichProgressBar" in choice_advice("callbacks", "rich_progress_bar")
    assert choice_advice("loss", "ce") == " Write loss=cross_entropy."
    assert "logger=csv" in choice_advice("logger", "none")
    assert "MLFlowLogger" in choice_advice("logger", "mlflow")
    assert "ModelCheckpoint, save_top_k" in alias_advice("callbacks.model_checkpoint.save_top_k", "3", known)


def test_other_names_are_not_answered(known):
    assert alias_advice("optimzer", "adam", known) is None


def test_every_alias_is_an_option(known):
    """With the choice that has it, where it is not in the default config."""
    words = re.findall(r"([\w.]+)=", " ".join(aliases._ALIASES))
    chosen = {"optimizer.momentum", "mix.alpha", "sweep", "logger.wandb.project", "logger.wandb.entity",
              "logger.wandb.group", "model.kwargs.drop_path_rate", "datamodule.path", "logger.comet",
              "logger.mlflow", "logger.neptune"}  # fmt: skip
    assert set(words) - chosen - set(known) - set(groups()) == set()
    assert not set(aliases._BY_NAME) & {*known, *groups()}


def test_names_of_timm_are_offered():
    assert timm_advice("resnet34") == " It is a model of timm: write model=timm model.name=resnet34."
    assert timm_advice("resnet_34") == " Did you mean model=timm model.name=resnet34?"
    assert timm_advice("unheard_of_network_xyz") == ""
