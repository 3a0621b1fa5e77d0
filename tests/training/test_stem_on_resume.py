"""The stem of a model is stored in its checkpoint: ``auto`` may choose another one in a later version."""

import json

import pytest
import torch

from fer.models.checkpoint import load_checkpoint

OPTIONS = ("model=timm", "model.name=test_resnet", "model.image_size=48")


@pytest.fixture
def run(tiny_run):
    return tiny_run(*OPTIONS)


def change(run, **keys):
    """Change hyperparameters in the checkpoint; None removes one."""
    path = run.folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] |= keys
    content["hyper_parameters"] = {k: v for k, v in content["hyper_parameters"].items() if v is not None}
    torch.save(content, path)
    return path


def test_checkpoint_stores_the_stem_that_auto_selected(run):
    assert load_checkpoint(change(run)).model.backbone.stem == "unpooled"
    assert load_checkpoint(change(run, stem="small")).model.backbone.stem == "small"


def test_checkpoint_without_a_stem_is_small(run):
    assert load_checkpoint(change(run, stem=None)).model.backbone.stem == "small"


def test_resuming_with_another_stem_is_an_error(run, fer_train, capsys):
    change(run, stem="small")
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    assert fer_train(f"resume={run.folder}").status == 2
    assert "Set stem: small under model in" in capsys.readouterr().err
