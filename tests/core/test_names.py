"""Names for other systems, checked against the rules of those systems for any text."""

import shlex

import pytest
import wandb
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fer.bundle.card import NAME_PATTERN
from fer.core.names import (
    MAX_FILE_NAME,
    MAX_MODEL_NAME,
    artifact_name,
    file_name,
    is_reserved,
    is_wandb_project,
    model_name,
    override,
    quoted,
    wandb_id,
    wandb_name,
)

ANY = st.text(max_size=300) | st.text(alphabet="/\\:*?\"<>|.${}'=, \n\0é表a", max_size=12)


@given(ANY)
def test_file_names(text):
    name = file_name(text)
    assert name not in ("", ".", "..")
    assert not set(name) & set('/\\:*?"<>|\0\n ')
    assert not is_reserved(name)
    assert len(name.encode()) <= MAX_FILE_NAME + 1
    assert file_name(name) == name


@given(ANY)
def test_wandb_accepts_ids_artifacts_and_names(text):
    assert len(wandb_id(text)) <= 64
    wandb.Settings(run_id=wandb_id(text), run_name=wandb_name(text), run_group=wandb_name(text))
    wandb.Artifact(artifact_name(text), type="model")


@given(ANY)
def test_wandb_refuses_the_same_projects(text):
    if is_wandb_project(text):
        wandb.Settings(project=text)


@given(ANY)
def test_names_of_models(text):
    name = model_name(text)
    assert NAME_PATTERN.fullmatch(name)
    assert len(name) <= MAX_MODEL_NAME
    assert not is_reserved(name)
    assert model_name(name) == name or len(text) > MAX_MODEL_NAME - 20


# OmegaConf reads this text as a missing value.
@given(ANY.filter(lambda text: text != "???"))
def test_hydra_reads_a_quoted_value_unchanged(text):
    value = OverridesParser.create().parse_override(f"key={quoted(text)}").value()
    assert OmegaConf.create({"key": value}).key == text


@given(st.text(min_size=1).filter(lambda text: text != "???"))
def test_an_override_for_the_shell(text):
    (argument,) = shlex.split(override("key", text))
    value = OverridesParser.create().parse_override(argument).value()
    assert str(OmegaConf.create({"key": value}).key) == text


@pytest.mark.parametrize(
    ("function", "text", "expected"),
    [
        (file_name, "lr=0.1, é", "lr-0.1--é"),
        (file_name, "..", "unnamed"),
        (file_name, "Con.x", "_Con.x"),
        (file_name, "é", "é"),
        (wandb_id, "sweep_a1_3", "sweep_a1_3"),
        (wandb_id, "a/b", "a-b-c14cddc0"),
        (artifact_name, "12-00-00_lr-0.1-best", "12-00-00_lr-0.1-best"),
        (wandb_name, "lr=0.1, é\n", "lr=0.1, é"),
        (wandb_name, "x" * 200, "x" * 127 + "…"),
        (model_name, "lr=0.1, é", "lr-0.1-e"),
        (model_name, "nul", "model-nul"),
        (model_name, "表情", "model-c762ed73"),
    ],
)
def test_examples(function, text, expected):
    assert function(text) == expected


def test_altered_ids_stay_distinct():
    assert wandb_id("a/b") != wandb_id("a:b")
