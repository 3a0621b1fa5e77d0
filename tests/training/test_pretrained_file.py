"""``model.pretrained=FILE``: initial weights from a file."""

import safetensors.torch
import timm
import torch

from fer.models.checkpoint import load_checkpoint


def test_pretrained_weights_are_loaded_from_a_file(tiny_run, tmp_path):
    source = timm.create_model("test_resnet", pretrained=False)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "w.safetensors")
    overrides = ("model=timm", "model.name=test_resnet", "model.freeze_epochs=9", "trainer.max_epochs=1")
    run = tiny_run(*overrides, f"model.pretrained={tmp_path / 'w.safetensors'}")
    assert run.status == 0
    weights = load_checkpoint(run.folder / "checkpoints/last.ckpt").model.backbone.state_dict()
    is_equal = [torch.equal(value, weights[f"model.{key}"]) for key, value in source.state_dict().items()
            if f"model.{key}" in weights and "layer1" in key and key.endswith("weight")]  # fmt: skip
    assert is_equal
    assert all(is_equal)
