"""The stem that a net was trained with: its weights do not tell, and ``auto`` may choose another one day."""

import json

import pytest
import torch

from fer.checkpoint import load_checkpoint

WORDS = ("model=timm", "model.name=test_resnet", "model.image_size=48")


@pytest.fixture
def run(tiny_run):
    return tiny_run(*WORDS)


def change(run, **keys):
    """Change what the checkpoint says of the net; None takes it away."""
    path = run.folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= keys
    content["hyper_parameters"] = {k: v for k, v in content["hyper_parameters"].items() if v is not None}
    torch.save(content, path)
    return path


def test_checkpoint_keeps_what_auto_came_to(run):
    assert load_checkpoint(change(run)).model.backbone.stem == "unpooled"
    assert load_checkpoint(change(run, stem="small")).model.backbone.stem == "small"


def test_one_from_before_there_was_a_choice_is_small(run):
    assert load_checkpoint(change(run, stem=None)).model.backbone.stem == "small"


def test_nothing_goes_on_with_another_stem(run, fer_train, capsys):
    change(run, stem="small")
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    assert fer_train(f"resume={run.folder}").status == 2
    assert "Write stem: small into the model part of" in capsys.readouterr().err
